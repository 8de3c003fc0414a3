// Comma-separated values, as RFC 4180 has them; quotes and line ends inside cells too.
export function parseCsv(text, mostRows = Infinity) {
  const separator = ["\t", ";", ","].find((one) => text.slice(0, text.search(/\n|$/)).includes(one)) ?? ",";
  const rows = [];
  let row = [];
  let cell = "";
  let quoted = false;
  for (let at = 0; at < text.length && rows.length < mostRows; at += 1) {
    const sign = text[at];
    if (quoted) {
      if (sign !== '"') cell += sign;
      else if (text[at + 1] === '"') {
        cell += '"';
        at += 1;
      } else quoted = false;
    } else if (sign === '"' && cell === "") quoted = true;
    else if (sign === separator) {
      row.push(cell);
      cell = "";
    } else if (sign === "\n" || sign === "\r") {
      if (sign === "\r" && text[at + 1] === "\n") at += 1;
      rows.push([...row, cell]);
      row = [];
      cell = "";
    } else cell += sign;
  }
  if ((cell || row.length) && rows.length < mostRows) rows.push([...row, cell]);
  return rows;
}

/** Rows of texts as CSV. What a spreadsheet would take for a formula stays what it is: it is data, not ours to change. */
export function toCsv(rows) {
  const quoted = (cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
  return rows.map((row) => `${row.map(quoted).join(",")}\r\n`).join("");
}
