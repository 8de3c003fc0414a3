// What changed from one state to the next, as paths: [{kind: "added" | "removed" | "changed", path, before, after}].
const MOST = 200;

export function differences(before, after) {
  const found = [];
  compare(before ?? {}, after ?? {}, "", found);
  return found;
}

function compare(before, after, path, found) {
  if (found.length >= MOST || before === after) return;
  const branches = [before, after].every((value) => value !== null && typeof value === "object") && Array.isArray(before) === Array.isArray(after);
  if (!branches) {
    if (JSON.stringify(before) !== JSON.stringify(after)) found.push({ kind: "changed", path, before, after });
    return;
  }
  const list = Array.isArray(after);
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const place = list ? `${path}[${key}]` : path ? `${path}.${key}` : key;
    if (!(key in before)) found.push({ kind: "added", path: place, after: after[key] });
    else if (!(key in after)) found.push({ kind: "removed", path: place, before: before[key] });
    else compare(before[key], after[key], place, found);
    if (found.length >= MOST) return;
  }
}
