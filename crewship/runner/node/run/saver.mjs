// The checkpointer that a graph gets in a thread: it remembers in this process, and reports what it has to keep.

import { Problem, Unreadable } from "./ending.mjs";
import { TooLarge } from "./reporter.mjs";
import { EMPTY, pack, unpack } from "./wire.mjs";

const CANNOT_READ = "the thread's state cannot be read by this version of the project";
const TASKS = "__pregel_tasks"; // the channel of what is sent to other nodes
const WRITES = { __error__: -1, __scheduled__: -2, __interrupt__: -3, __resume__: -4 }; // places of special writes
const OWN_SENDS = 4; // the version of checkpoints from which on they hold what was sent themselves

/**
 * A checkpointer of the project's own @langchain/langgraph (`library`).
 *
 * It knows the checkpoints that the run's spec gave and those that this run put. Older ones of its thread come from
 * `older(namespace, id)` when they are asked for. The latest of a namespace is the one that was put last, at first the
 * head that the spec names. What is put for another thread is remembered and not reported. What is asked is done in the
 * order in which it was asked.
 */
export function saverFor(library, threadId = null, report = null, state = (values) => values, older = null) {
  const form = library.emptyCheckpoint().v; // of the checkpoints that this release makes

  class CrewshipSaver extends library.BaseCheckpointSaver {
    #saved = new Map(); // thread and namespace → id → saved, the latest last
    #fetched = new Map(); // the same, of those that came from `older`
    #turn = Promise.resolve();

    /** Take in the checkpoints of a spec. Throws Problem if they cannot be read, or the head is not among them. */
    load(thread) {
      const head = thread.head ?? null;
      const given = [...(thread.checkpoints ?? [])];
      given.sort((a, b) => (a.checkpoint_id === head) - (b.checkpoint_id === head));
      try {
        for (const each of given) this.#take(each, this.#saved);
      } catch (error) {
        throw new Unreadable(`${CANNOT_READ}: ${error.message}`);
      }
      if (head !== null && !this.knows(head)) throw new Unreadable(`${CANNOT_READ}: its checkpoint ${head} is missing`);
    }

    /** Whether this checkpoint of the graph itself is available. */
    knows(id) {
      return this.#at(threadId, "").has(id);
    }

    #take(given, known) {
      const [checkpoint, metadata] = unpack(given.data);
      const channels = Object.entries(given.channels).map(([name, { version, data }]) => [name, { version, dump: unpack(data)[0] }]);
      const saved = { checkpoint, metadata, parent: given.parent_id ?? null, channels: new Map(channels), writes: new Map() };
      this.#at(threadId, given.ns, known).set(given.checkpoint_id, saved);
      for (const task of given.writes ?? []) {
        const writes = task.writes.map(([channel, data]) => [channel, unpack(data)[0]]);
        keepWrites(saved, writes, task.task_id, task.task_path ?? "");
      }
      return saved;
    }

    // One checkpoint, from wherever it can be had; undefined where it cannot.
    async #find(thread, ns, id) {
      const known = this.#at(thread, ns).get(id) ?? this.#fetched.get(placeOf(thread, ns))?.get(id);
      if (known !== undefined) return known;
      for await (const { saved } of this.#older(thread, ns, id)) return saved;
      return undefined;
    }

    // Those of this run's thread that are not among the known ones, the latest first.
    async *#older(thread, ns, id) {
      if (older === null || (thread !== undefined && thread !== threadId)) return;
      try {
        for await (const each of older(ns, id)) {
          if (this.#at(threadId, each.ns).has(each.checkpoint_id)) continue;
          yield { ns: each.ns, id: each.checkpoint_id, saved: this.#take(each, this.#fetched) };
        }
      } catch (error) {
        throw new Problem(`the thread's older checkpoints cannot be had: ${error.message}`);
      }
    }

    // what LangGraph asks -----------------------------------------------------------------------------------------

    /** The checkpoint that the config names, or the latest of its namespace; undefined where there is none. */
    getTuple(config) {
      return this.#inTurn(async () => {
        const { thread_id: thread, checkpoint_ns: ns, checkpoint_id: named, thread_ts: old } = config.configurable ?? {};
        const id = named || old || [...this.#at(thread, ns ?? "").keys()].at(-1);
        const saved = id === undefined ? undefined : await this.#find(thread, ns ?? "", id);
        return saved && this.#tuple(thread, ns ?? "", id, saved);
      });
    }

    /** The checkpoints that fit, the latest of a namespace first; as many as are available. */
    async *list(config, options = {}) {
      const wanted = config?.configurable ?? {};
      const until = options?.before?.configurable?.checkpoint_id;
      let left = options?.limit ?? Infinity;
      await this.#inTurn(async () => {});
      for await (const { thread, ns, id, saved } of this.#all(wanted)) {
        if ((wanted.checkpoint_id && id !== wanted.checkpoint_id) || (until && id >= until)) continue;
        const metadata = await this.#loads("metadata", saved.metadata);
        const fits = Object.entries(options?.filter ?? {}).every(([name, value]) => metadata[name] === value);
        if (!fits) continue;
        if (left-- <= 0) return;
        yield await this.#tuple(thread, ns, id, saved);
      }
    }

    async *#all(wanted) {
      const { thread_id: wantedThread, checkpoint_ns: wantedNs, checkpoint_id: wantedId } = wanted;
      for (const [place, known] of [...this.#saved]) {
        const [thread, ns] = JSON.parse(place);
        if (wantedThread !== undefined && thread !== wantedThread) continue;
        if (wantedNs !== undefined && ns !== wantedNs) continue;
        for (const [id, saved] of [...known].reverse()) yield { thread, ns, id, saved };
      }
      for await (const each of this.#older(wantedThread, wantedNs, wantedId)) yield { thread: threadId, ...each };
    }

    /** Remember and report a checkpoint; its parent is the one that the config names. */
    put(config, checkpoint, metadata, newVersions) {
      return this.#inTurn(async () => {
        const { thread_id: thread, checkpoint_ns: ns = "", checkpoint_id: parent = null } = config.configurable ?? {};
        named({ thread_id: thread });
        const { channel_values: values, ...bare } = checkpoint;
        const before = this.#at(thread, ns).get(parent) ?? this.#fetched.get(placeOf(thread, ns))?.get(parent);
        if (bare.v < OWN_SENDS) bare.pending_sends = await this.#sends(before);
        const channels = new Map();
        const fresh = {};
        for (const [name, version] of Object.entries(checkpoint.channel_versions)) {
          const known = before?.channels.get(name);
          const same = known?.version === String(version);
          const changed = newVersions ? name in newVersions : !same;
          if (!changed && same) channels.set(name, known);
          if (!changed && (same || parent === null)) continue;
          // New, or put again on the side of where it was first put: the parent has another version of it.
          const dump = name in values ? await this.#dumps(name, values[name]) : EMPTY;
          channels.set(name, { version: String(version), dump });
          fresh[name] = { version: String(version), data: pack(dump) };
        }
        const saved = {
          checkpoint: await this.#dumps("checkpoint", bare),
          metadata: await this.#dumps("metadata", withoutWrites(metadata)),
          parent,
          channels,
          writes: new Map(),
        };
        const known = this.#at(thread, ns, this.#saved);
        known.delete(checkpoint.id); // put again, it is the latest
        known.set(checkpoint.id, saved);
        this.#tell("checkpoint", thread, ns, {
          checkpoint_id: checkpoint.id,
          parent_id: parent,
          step: metadata?.step ?? null,
          source: metadata?.source ?? null,
          data: pack(saved.checkpoint, saved.metadata),
          channels: fresh,
          versions: Object.fromEntries([...channels].map(([name, { version }]) => [name, version])),
          values: ns ? null : state(values),
        });
        return { configurable: { thread_id: thread, checkpoint_ns: ns, checkpoint_id: checkpoint.id } };
      });
    }

    /** Remember and report what a task gave for the super-step behind a checkpoint. */
    putWrites(config, writes, taskId, taskPath = "") {
      return this.#inTurn(async () => {
        const { thread_id: thread, checkpoint_ns: ns = "", checkpoint_id: id } = config.configurable ?? {};
        named({ thread_id: thread, checkpoint_id: id });
        const saved = this.#at(thread, ns).get(id);
        if (saved === undefined) return;
        const dumped = [];
        for (const [channel, value] of writes) dumped.push([channel, await this.#dumps(channel, value)]);
        if (keepWrites(saved, dumped, taskId, taskPath)) {
          const told = dumped.map(([channel, dump]) => [channel, pack(dump)]);
          this.#tell("writes", thread, ns, { checkpoint_id: id, task_id: taskId, task_path: taskPath, writes: told });
        }
      });
    }

    /** Forget a thread, here; its history stays with the server. */
    deleteThread(thread) {
      return this.#inTurn(async () => {
        for (const place of [...this.#saved.keys()]) if (JSON.parse(place)[0] === thread) this.#saved.delete(place);
      });
    }

    // how it is kept and told -------------------------------------------------------------------------------------

    // The checkpoints of a namespace; with `make` to be added to, among those.
    #at(thread, ns, make = null) {
      const place = placeOf(thread, ns);
      const known = (make ?? this.#saved).get(place) ?? new Map();
      make?.set(place, known);
      return known;
    }

    // Values are dumped and loaded by promises: without an order writes could come before what they belong to.
    #inTurn(act) {
      const result = this.#turn.then(act);
      this.#turn = result.catch(() => {});
      return result;
    }

    async #tuple(thread, ns, id, saved) {
      const checkpoint = await this.#loads("checkpoint", saved.checkpoint);
      checkpoint.channel_values = {};
      for (const [name, { dump }] of saved.channels) {
        if (dump[0] !== EMPTY[0]) checkpoint.channel_values[name] = await this.#loads(name, dump);
      }
      if (checkpoint.v < OWN_SENDS && form >= OWN_SENDS && saved.parent) this.#migrate(checkpoint);
      const pendingWrites = [];
      for (const { taskId, channel, dump } of ordered(saved)) {
        pendingWrites.push([taskId, channel, await this.#loads(channel, dump)]);
      }
      const configurable = { thread_id: thread, checkpoint_ns: ns };
      const tuple = {
        config: { configurable: { ...configurable, checkpoint_id: id } },
        checkpoint,
        metadata: await this.#loads("metadata", saved.metadata),
        pendingWrites,
      };
      if (saved.parent) tuple.parentConfig = { configurable: { ...configurable, checkpoint_id: saved.parent } };
      return tuple;
    }

    // Today's releases look among the channels for what older ones kept beside them.
    #migrate(checkpoint) {
      const versions = Object.values(checkpoint.channel_versions);
      checkpoint.channel_values[TASKS] = checkpoint.pending_sends ?? [];
      const newest = (a, b) => (typeof a === "number" && typeof b === "number" ? a > b : String(a) > String(b));
      const latest = versions.reduce((a, b) => (newest(a, b) ? a : b), versions[0]);
      checkpoint.channel_versions[TASKS] = latest ?? this.getNextVersion(undefined);
    }

    // What the tasks of a checkpoint sent to other nodes, which older releases want with the one that follows.
    async #sends(before) {
      const sent = before ? ordered(before).filter(({ channel }) => channel === TASKS) : [];
      const values = [];
      for (const { dump } of sent) values.push(await this.#loads(TASKS, dump));
      return values;
    }

    #tell(kind, thread, ns, fields) {
      if (report === null || thread !== threadId) return;
      try {
        report(kind, { ns, ...fields });
      } catch (error) {
        throw error instanceof TooLarge ? new Problem(error.message) : error;
      }
    }

    async #dumps(name, value) {
      try {
        const [kind, data] = await this.serde.dumpsTyped(value);
        return [kind, Buffer.from(data)];
      } catch (error) {
        throw new Problem(`the thread cannot keep ${JSON.stringify(name)} of the graph's state: ${error.message}`);
      }
    }

    async #loads(name, [kind, data]) {
      try {
        return await this.serde.loadsTyped(kind, data);
      } catch (error) {
        throw new Problem(`${CANNOT_READ}: ${JSON.stringify(name)}: ${error.message}`);
      }
    }
  }
  return new CrewshipSaver();
}

// Whether anything is new: a result stands, an error or an interrupt is replaced by a later one.
function keepWrites(saved, writes, taskId, path) {
  let kept = false;
  writes.forEach(([channel, dump], at) => {
    const index = WRITES[channel] ?? at;
    const place = JSON.stringify([taskId, index]);
    if (index >= 0 && saved.writes.has(place)) return;
    saved.writes.set(place, { taskId, index, path, channel, dump });
    kept = true;
  });
  return kept;
}

// A checkpoint's writes in the order in which a super-step applies them.
function ordered(saved) {
  const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  return [...saved.writes.values()].sort(
    (a, b) => compare(a.path, b.path) || compare(a.taskId, b.taskId) || a.index - b.index,
  );
}

function placeOf(thread, ns) {
  return JSON.stringify([thread, ns]);
}

function named(needed) {
  for (const [name, value] of Object.entries(needed)) {
    if (value === undefined || value === null) throw new Error(`the config must name a ${name}`);
  }
}

function withoutWrites(metadata) {
  const { writes: _, ...kept } = metadata ?? {};
  return kept;
}
