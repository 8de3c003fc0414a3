// Reads one stream to its end and prints the id of every event, a line each. Which library reads it: the first argument.
// The library reconnects by itself, with the id it has; a 204 tells it to stop.
const [library, url, key] = process.argv.slice(2);
const { default: Old } = await import('eventsource2');
const { EventSource } = await import('eventsource');

const source = library === 'eventsource2'
  ? new Old(url, { headers: { Authorization: `Bearer ${key}` } })
  : new EventSource(url, {
      fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, Authorization: `Bearer ${key}` } }),
    });

let ended = false;
source.onmessage = (event) => {
  const data = JSON.parse(event.data);
  console.log(event.lastEventId);
  ended ||= ['run.completed', 'run.failed', 'run.canceled'].includes(data.type);
};
source.onerror = () => {
  // After the end the server answers the next attempt with 204, and the library gives up by itself.
  if (source.readyState === 2) {
    if (!ended) console.error('closed before the end');
    process.exit(ended ? 0 : 1);
  }
};
setTimeout(() => { console.error('too late'); process.exit(2); }, 90_000).unref();
