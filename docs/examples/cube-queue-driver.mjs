// Cube's query queue on PostgreSQL: the methods of its QueueDriverInterface (Cube 1.7.31 and newer) on pgqueue's functions.
// One statement a method; only getResultBlocking, which waits, makes three. Needs the package `pg`.
//
//     import { queueDriverFactory } from './cube-queue-driver.mjs';
//     module.exports = { orchestratorOptions: { queueOptions: { queueDriverFactory: queueDriverFactory({ connectionString }) } } };
//
// A queue is what Cube calls its prefix, a key the hash of a query key. Ids of items come as strings, as `pg` gives bigint.

import { createHash } from 'node:crypto';
import pg from 'pg';

/** `select * from pgqueue.<name>(<argument> => $1, …)`: all there is to know about the calls below. */
async function call(client, name, args) {
  const names = Object.keys(args);
  const list = names.map((argument, at) => `${argument} => $${at + 1}`).join(', ');
  return (await client.query(`select * from pgqueue.${name}(${list})`, Object.values(args))).rows;
}

/**
 * One connection of a process that listens, for any number of waiters. `pgqueue_done` says which items have ended,
 * `pgqueue_keyed` which were taken from the client that executes them; the payload of either is the item's id.
 */
class Listener {
  constructor(config) {
    this.config = config;
    this.waiting = { pgqueue_done: new Map(), pgqueue_keyed: new Map() };
  }

  client() {
    this.connecting ??= this.connect().catch((error) => {
      this.connecting = undefined;
      throw error;
    });
    return this.connecting;
  }

  async connect() {
    const client = new pg.Client(this.config);
    client.on('notification', ({ channel, payload }) => {
      for (const wake of this.waiting[channel]?.get(payload) ?? []) wake();
    });
    // What is sent while nobody listens is lost: all look for themselves, and the next call connects anew.
    const lost = () => {
      this.connecting = undefined;
      for (const ids of Object.values(this.waiting)) for (const wakes of ids.values()) for (const wake of wakes) wake();
    };
    client.on('error', lost);
    client.on('end', lost);
    await client.connect();
    await client.query('listen pgqueue_done; listen pgqueue_keyed');
    return client;
  }

  /** Registers first: nothing that is sent from here on is missed. `signal` resolves on the notification, or after `ms`. */
  expect(channel, id, ms) {
    const ids = this.waiting[channel];
    let wake;
    let timer;
    const signal = new Promise((resolve) => {
      wake = resolve;
      if (ms !== undefined) timer = setTimeout(resolve, ms);
    });
    if (!ids.has(id)) ids.set(id, new Set());
    ids.get(id).add(wake);
    const done = () => {
      clearTimeout(timer);
      ids.get(id)?.delete(wake);
      if (ids.get(id)?.size === 0) ids.delete(id);
    };
    return { signal, done };
  }

  async end() {
    const client = await this.connecting?.catch(() => undefined);
    await client?.end();
  }
}

export class QueueDriverConnection {
  constructor(driver) {
    this.driver = driver;
    this.options = driver.options;
    this.queue = driver.options.redisQueuePrefix;
  }

  call(name, args) {
    return call(this.driver.pool, name, args);
  }

  /** An id, where there is one, wins over the key: it never touches a newer item. */
  item(hash, queueId) {
    return { queue: this.queue, key: hash, id: queueId ?? null };
  }

  redisHash(queryKey) {
    return this.driver.redisHash(queryKey);
  }

  async addToQueue(queryKey, queryHandler, query, priority, options = {}) {
    const { stageQueryKey, requestId, externalId, orphanedTimeout, reuse = false } = options;
    const addedToQueueTime = Date.now();
    const stage = stageQueryKey === undefined ? null : JSON.stringify(stageQueryKey);
    const args = {
      queue: this.queue,
      key: this.redisHash(queryKey),
      payload: JSON.stringify({ queryHandler, query, queryKey, stageQueryKey, priority, requestId, addedToQueueTime }),
      priority,
      orphan_ms: orphanedTimeout ? orphanedTimeout * 1000 : null,
      process_id: this.options.processUid ?? null,
      exclusive: isPersistent(queryKey),
      external_id: externalId ?? null,
      stage_key: stage && (stage.length > 200 ? md5(stage) : stage),
      reuse,
    };
    const [row] = this.options.fastTrack && priority >= 10
      ? await this.call('keyed_add_and_claim', { ...args, concurrency: this.options.concurrency })
      : await this.call('keyed_add', args);
    const claim = row.payload == null ? null : { active: row.active, queueSize: row.pending, def: definition(row) };
    return [row.created ? 1 : 0, row.id, row.pending, addedToQueueTime, claim];
  }

  async retrieveForProcessing(hash, queueId) {
    const [row] = await this.call('keyed_claim', {
      ...this.item(hash, queueId),
      concurrency: this.options.concurrency,
      process_id: this.options.processUid ?? null,
    });
    return row.refused ? null : { active: row.active, queueSize: row.pending, def: definition(row) };
  }

  async getQueryDef(hash, queueId) {
    return definition((await this.call('keyed_get', this.item(hash, queueId)))[0]);
  }

  async optimisticQueryUpdate(hash, patch, queueId) {
    const [row] = await this.call('keyed_merge_extra', { ...this.item(hash, queueId), extra: JSON.stringify(patch) });
    return row.keyed_merge_extra;
  }

  /** False: the item is gone, for example cancelled on another node. */
  async updateHeartBeat(hash, queueId) {
    return (await this.call('keyed_heartbeat', this.item(hash, queueId)))[0].keyed_heartbeat;
  }

  async setResultAndRemoveQuery(hash, result, queueId) {
    const [row] = await this.call('keyed_ack', { ...this.item(hash, queueId), result: JSON.stringify(result) });
    return row.keyed_ack;
  }

  async cancelQuery(hash, queueId) {
    return definition((await this.call('keyed_cancel', this.item(hash, queueId)))[0]);
  }

  async getQueryAndRemove(hash, queueId) {
    return [await this.cancelQuery(hash, queueId)];
  }

  async getResult(queryKey, externalId) {
    const args = { queue: this.queue, key: this.redisHash(queryKey), external_id: externalId ?? null };
    return result((await this.call('keyed_result', args))[0]);
  }

  /** Null after continueWaitTimeout; at once when the item was cancelled, or ended without a result. */
  async getResultBlocking(hash, queueId) {
    const id = queueId ?? (await this.call('keyed_get', this.item(hash, null)))[0]?.id;
    if (id === undefined) return result((await this.call('keyed_result', { queue: this.queue, key: hash }))[0]);
    const { listener } = this.driver;
    const ms = (this.options.continueWaitTimeout ?? 10) * 1000;
    const { signal, done } = listener.expect('pgqueue_done', String(id), ms);
    try {
      await call(await listener.client(), 'watch', { jobs: [id], lasting: `${ms + 5000} ms` }).catch(gone);
      // Who ends the item from here on sees that somebody waits; who is about to, and has not seen it, is let finish first.
      const [{ state }] = await this.call('keyed_state', { id });
      if (state === 'pending' || state === 'active') await signal;
    } finally {
      done();
    }
    return result((await this.call('keyed_result_by_id', { id }))[0]);
  }

  async getToProcessQueries() {
    return pairs(await this.call('keyed_pending', this.seen()));
  }

  async getActiveQueries() {
    return pairs(await this.call('keyed_active', this.seen()));
  }

  async getActiveAndToProcess() {
    const rows = await this.call('keyed_keys', this.seen());
    return ['active', 'pending'].map((status) => pairs(rows.filter((row) => row.status === status)));
  }

  async getQueryStageState(onlyKeys) {
    const rows = await this.call(onlyKeys ? 'keyed_keys' : 'keyed_list', this.seen());
    const keys = (status) => rows.filter((row) => row.status === status).map((row) => row.key);
    const definitions = onlyKeys ? {} : Object.fromEntries(rows.map((row) => [row.key, definition(row)]));
    return [keys('active'), keys('pending'), definitions];
  }

  async getStalledQueries() {
    return pairs(await this.call('keyed_stalled', { queue: this.queue, heartbeat_ms: this.limits().heartbeat_ms }));
  }

  async getOrphanedQueries() {
    return pairs(await this.call('keyed_orphaned', { queue: this.queue, orphan_ms: this.limits().orphan_ms }));
  }

  async getQueriesToCancel() {
    return pairs(await this.call('keyed_to_cancel', { queue: this.queue, ...this.limits() }));
  }

  /** Beyond the interface: resolves when the item this process executes is cancelled elsewhere, without a heartbeat's delay. */
  async whenCancelled(queueId) {
    const { signal, done } = this.driver.listener.expect('pgqueue_keyed', String(queueId));
    await this.driver.listener.client();
    return signal.finally(done);
  }

  seen() {
    return { queue: this.queue, process_id: this.options.processUid ?? null };
  }

  limits() {
    return { heartbeat_ms: (this.options.heartBeatTimeout ?? 120) * 1000, orphan_ms: (this.options.orphanedTimeout ?? 120) * 1000 };
  }
}

export class QueueDriver {
  /** `config`: what `pg` takes. `options`: those Cube gives to a driver, and fastTrack: claim at once what is urgent. */
  constructor(config, options) {
    this.options = options;
    this.pool = new pg.Pool(config);
    this.pool.on('error', () => undefined); // an idle connection that breaks is replaced
    this.listener = new Listener(config);
  }

  redisHash(queryKey) {
    const hash = md5(JSON.stringify(queryKey));
    return isPersistent(queryKey) ? `${hash}@${this.options.processUid}` : hash;
  }

  async createConnection() {
    return new QueueDriverConnection(this);
  }

  release() {}

  async end() {
    await this.listener.end();
    await this.pool.end();
  }
}

export const queueDriverFactory = (config) => (_driverType, options) => new QueueDriver(config, options);

const md5 = (text) => createHash('md5').update(text).digest('hex');
const isPersistent = (queryKey) => Boolean(queryKey && typeof queryKey === 'object' && queryKey.persistent);
const pairs = (rows) => rows.map((row) => [row.key, row.id]);
const definition = (row) => (row?.payload == null ? null : { ...JSON.parse(row.payload), ...JSON.parse(row.extra ?? '{}') });
const result = (row) => (row ? JSON.parse(row.payload) : null);

/** A queue without history forgets at once what has ended: PQ002, unknown job. */
function gone(error) {
  if (error.code !== 'PQ002') throw error;
}
