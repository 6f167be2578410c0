// A round trip through the driver, on the database that PGHOST, PGPORT, PGUSER, PGDATABASE say: node --test

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { queueDriverFactory } from './cube-queue-driver.mjs';

const options = {
  redisQueuePrefix: 'SQL_QUERY_tenant#1_default',
  concurrency: 1,
  continueWaitTimeout: 1,
  orphanedTimeout: 120,
  heartBeatTimeout: 120,
  processUid: 'one',
};
const make = (more = {}) => queueDriverFactory({})('cubestore', { ...options, ...more });
const one = make();
const two = make({ processUid: 'two', continueWaitTimeout: 20 });
const quick = make({ fastTrack: true, redisQueuePrefix: 'SQL_QUERY_fast' });
let a;
let b;

before(async () => {
  a = await one.createConnection();
  b = await two.createConnection();
});

after(() => Promise.all([one.end(), two.end(), quick.end()]));

const key = (n) => [`select ${n}`, [], []];

test('hashes', () => {
  assert.match(a.redisHash(key(1)), /^[0-9a-f]{32}$/);
  const persistent = Object.assign(key(1), { persistent: true });
  assert.equal(a.redisHash(persistent), `${a.redisHash(key(1))}@one`);
});

test('a round trip', async () => {
  const hash = a.redisHash(key(1));
  const added = await a.addToQueue(key(1), 'query', { query: 'select 1' }, 10, { stageQueryKey: key(1), requestId: 'r' });
  assert.deepEqual([added[0], added[2], added[4]], [1, 1, null]);
  const again = await b.addToQueue(key(1), 'query', { query: 'other' }, 10, {});
  assert.deepEqual(again.slice(0, 3), [0, added[1], 1]);
  const [, other] = await b.addToQueue(key(2), 'query', {}, 0, { orphanedTimeout: 3600 });
  assert.deepEqual(await a.getToProcessQueries(), [[hash, added[1]], [b.redisHash(key(2)), other]]);

  const claim = await a.retrieveForProcessing(hash, added[1]);
  assert.deepEqual([claim.active, claim.queueSize, claim.def.query], [[hash], 1, { query: 'select 1' }]);
  assert.equal(await b.retrieveForProcessing(hash, added[1]), null);
  assert.equal(await b.retrieveForProcessing(b.redisHash(key(2)), other), null, 'no place is free');
  assert.deepEqual(await a.getActiveAndToProcess(), [[[hash, added[1]]], [[b.redisHash(key(2)), other]]]);

  assert.equal(await a.optimisticQueryUpdate(hash, { startQueryTime: 5 }, added[1]), true);
  assert.equal(await a.optimisticQueryUpdate(hash, { cancelHandler: 6 }, added[1]), true);
  assert.equal(await a.updateHeartBeat(hash, added[1]), true);
  const def = await b.getQueryDef(hash, added[1]);
  assert.deepEqual([def.startQueryTime, def.cancelHandler, def.stageQueryKey], [5, 6, key(1)]);
  const [active, pending, defs] = await b.getQueryStageState(false);
  assert.deepEqual([active, pending, defs[hash]], [[hash], [b.redisHash(key(2))], def]);
  assert.deepEqual((await b.getQueryStageState(true))[2], {});
  assert.deepEqual(await b.getQueriesToCancel(), []);

  assert.equal(await b.getResult(key(1)), null);
  assert.equal(await a.getResultBlocking(hash, added[1]), null, 'after continueWaitTimeout');
  const waiters = [b.getResultBlocking(hash, added[1]), b.getResultBlocking(hash, added[1])];
  const result = { result: [{ n: '1', text: '\u0000 ü' }] };
  assert.equal(await a.setResultAndRemoveQuery(hash, result, added[1]), true);
  assert.deepEqual(await Promise.all(waiters), [result, result]);
  assert.equal(await a.setResultAndRemoveQuery(hash, result, added[1]), false);
  assert.deepEqual(await a.getResultBlocking(hash, added[1]), result, 'by id any number of times');
  assert.equal(await a.getResult(key(1)), null, 'who waited has hidden it');
  assert.equal(await a.getQueryDef(hash, added[1]), null);
  assert.equal(await a.updateHeartBeat(hash, added[1]), false);
  await b.cancelQuery(b.redisHash(key(2)), other);
});

test('results by key are read once, with an external id any number of times', async () => {
  const hash = a.redisHash(key(3));
  const [, id] = await a.addToQueue(key(3), 'query', {}, 0, { externalId: 'request' });
  await b.addToQueue(key(3), 'query', {}, 0, { externalId: 'another' });
  assert.ok(await a.setResultAndRemoveQuery(hash, { error: 'no' }, id));
  assert.deepEqual(await a.getResult(key(3)), { error: 'no' });
  assert.equal(await a.getResult(key(3)), null);
  for (const externalId of ['request', 'another', 'request']) {
    assert.deepEqual(await b.getResult(key(3), externalId), { error: 'no' });
  }
});

test('a cancel wakes the waiter and the executor', async () => {
  const hash = a.redisHash(key(4));
  const [, id] = await a.addToQueue(key(4), 'query', {}, 0, {});
  await a.retrieveForProcessing(hash, id);
  await a.optimisticQueryUpdate(hash, { cancelHandler: 7 }, id);
  const cancelled = a.whenCancelled(id);
  await one.listener.client();
  const started = Date.now();
  const waiter = b.getResultBlocking(hash, id);
  await waits(two, id);
  const [def] = await b.getQueryAndRemove(hash, id);
  assert.equal(def.cancelHandler, 7);
  assert.equal(await waiter, null);
  await cancelled;
  assert.ok(Date.now() - started < 15_000, 'long before its timeout');
  assert.deepEqual(await a.getQueryAndRemove(hash, id), [null]);
  assert.equal(await a.setResultAndRemoveQuery(hash, { result: 1 }, id), false, 'the late answer');
});

test('persistent queries belong to their process', async () => {
  const persistent = Object.assign(key(5), { persistent: true });
  const hash = a.redisHash(persistent);
  const [, id] = await a.addToQueue(persistent, 'stream', {}, 0, {});
  assert.deepEqual([await b.getToProcessQueries(), await b.retrieveForProcessing(hash, id)], [[], null]);
  assert.ok(await a.retrieveForProcessing(hash, id));
  assert.ok(await a.setResultAndRemoveQuery(hash, { streamResult: true }, id));
});

test('fast track', async () => {
  const c = await quick.createConnection();
  const [added, id, size, , claim] = await c.addToQueue(key(6), 'query', { query: 'q' }, 10, {});
  assert.deepEqual([added, size, claim.active, claim.def.query], [1, 0, [c.redisHash(key(6))], { query: 'q' }]);
  const second = await c.addToQueue(key(7), 'query', {}, 10, {});
  assert.equal(second[4], null);
  assert.ok(await c.setResultAndRemoveQuery(c.redisHash(key(6)), {}, id));
  assert.equal((await c.addToQueue(key(8), 'query', {}, 0, {}))[4], null, 'not what can wait');
});

test('an answer of the run before is as good, if nobody has read it', async () => {
  const [, id] = await a.addToQueue(key(9), 'query', {}, 0, {});
  await a.setResultAndRemoveQuery(a.redisHash(key(9)), { result: 9 }, id);
  assert.deepEqual((await b.addToQueue(key(9), 'query', {}, 0, { reuse: true })).slice(0, 2), [0, id]);
  assert.deepEqual(await b.getResultBlocking(b.redisHash(key(9)), id), { result: 9 });
});

/** Until the database knows that somebody waits for the item. */
async function waits(driver, id) {
  for (;;) {
    const { rows } = await driver.pool.query('select from pgqueue.waiter where job_id = $1', [id]);
    if (rows.length > 0) return;
  }
}
