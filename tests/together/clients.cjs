// Plays all that Together's TypeScript client knows against a daemon: `node clients.cjs STAGE.json`, which `stage.rs`
// writes. NODE_PATH has the packages `together-ai` and `typescript`. Exit 0: everything held.

'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const Together = require('together-ai');
const { Answers } = require('./types.cjs');

const stage = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const MODE = 'REMEDIATION_MODE_';
const PAGE = 100;
const NOBODY = '00000000-0000-0000-0000-000000000000';
const ENDED = ['SUCCEEDED', 'FAILED', 'CANCELLED', 'AUTO_RESOLVED'];

// What went over the wire, and what became of the next answer.
const wire = [];
const answers = new Answers();
let losesNext = false;

async function watched(url, init) {
  wire.push(`${init.method} ${new URL(url).pathname}`);
  const loses = losesNext;
  losesNext = false;
  const response = await fetch(url, init);
  if (loses) {
    await response.text();
    throw new TypeError('fetch failed');
  }
  if (response.ok) answers.add(typeOf(init.method, new URL(url).pathname), await response.clone().json());
  return response;
}

function typeOf(method, path) {
  if (path.endsWith('/remediations') && method === 'GET') return 'RemediationListResponse';
  if (path.includes('/remediations')) return 'Remediation';
  return path.endsWith('/clusters') ? 'ClusterListResponse' : 'Cluster';
}

class Face {
  constructor(token = 'approver') {
    const apiKey = stage.tokens[token] ?? token;
    this.client = new Together({ apiKey, baseURL: `${stage.base}/v1`, fetch: watched, logLevel: 'off' });
    this.rows = this.client.beta.clusters.remediations;
  }

  create(cluster_id, instance, mode, reason, remediation_id) {
    return this.rows.create(instance, { cluster_id, mode: MODE + mode, reason, remediation_id });
  }

  list(cluster_id, instance = '-', filters = {}) {
    return this.rows.list(instance, { cluster_id, ...filters });
  }

  get = (row) => this.rows.retrieve(row.id, place(row));
  approve = (row, comment, mode) => this.rows.approve(row.id, { ...place(row), comment, mode: mode && MODE + mode });
  reject = (row, comment) => this.rows.reject(row.id, { ...place(row), comment });
  cancel = (row) => this.rows.cancel(row.id, place(row));
}

const place = ({ cluster_id, instance_id }) => ({ cluster_id, instance_id });
const face = new Face();

// The daemon's other side: the alerts that it hears of and the machines that it acts on.

const used = { 'train-a': 0, 'train-b': 0 };
const begun = new Map();

function instance(cluster = 'train-a') {
  used[cluster] += 1;
  return `${cluster}-${used[cluster]}`;
}

function machine(instance, manner) {
  const fresh = path.join(stage.manners, `.${instance}`);
  fs.writeFileSync(fresh, manner);
  fs.renameSync(fresh, path.join(stage.manners, instance));
}

async function post(target, token, body) {
  const headers = { authorization: `Bearer ${stage.tokens[token]}`, 'content-type': 'application/json' };
  const answer = await fetch(stage.base + target, { method: 'POST', headers, body: JSON.stringify(body) });
  assert(answer.ok, `${target} answers ${answer.status}`);
}

async function alert(instance, { name = 'DmesgGpuFallenOffBus', fires = true, annotations } = {}) {
  const now = new Date().toISOString();
  const key = `${name} ${instance}`;
  if (!begun.has(key)) begun.set(key, now);
  const status = fires ? 'firing' : 'resolved';
  const labels = {
    alertname: name,
    cluster: instance.slice(0, instance.lastIndexOf('-')),
    node: `node-${instance}`,
    severity: 'critical',
  };
  const one = {
    status,
    labels,
    annotations: annotations ?? { summary: `${name} on ${instance}`, description: 'by a test' },
    startsAt: begun.get(key),
    endsAt: fires ? '0001-01-01T00:00:00Z' : now,
    fingerprint: key,
  };
  const body = { version: '4', status, receiver: 'r', groupKey: '{}', alerts: [one] };
  await post('/api/v1/webhooks/alertmanager', 'webhook', body);
}

async function eventually(what, look) {
  const until = Date.now() + 30_000;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert(Date.now() < until, `not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function proposal(instance, how) {
  await alert(instance, how);
  const cluster = instance.slice(0, instance.lastIndexOf('-'));
  return eventually(`a proposal for ${instance}`, async () => {
    const page = await face.list(cluster, instance, { state: ['PENDING_APPROVAL', 'RUNNING'] });
    return page.remediations[0];
  });
}

function until(row, state) {
  return eventually(`${row.id} is ${state}`, async () => {
    const now = await face.get(row);
    assert(now.state === state || !ENDED.includes(now.state), `${row.id} ended ${now.state}: ${now.error_message}`);
    return now.state === state && now;
  });
}

// The same but for when it changed last: what it waits for may have changed.
const still = ({ update_time: _, ...row }) => row;

// The lives of a remediation.

const lives = {
  async succeeds() {
    const name = 'DmesgXidError';
    const xid = { summary: 'Xid 79', description: 'GPU left the bus', evidence: 'xid 79 x1' };
    const opened = await proposal(instance(), { name, annotations: xid });
    machine(opened.instance_id, 'wait');
    assert.equal(opened.trigger, 'REMEDIATION_TRIGGER_AUTOMATED');
    assert.equal(opened.linked_alerts[0].annotation.title, 'Xid 79');
    assert.equal(opened.linked_alerts[0].annotation.xid.events[0].xid_code, '79');
    const approved = await face.approve(opened, 'go ahead');
    assert.equal(approved.mode, opened.mode);
    assert.equal(approved.review_comment, 'go ahead');
    assert.equal(approved.reviewed_by, 'approver');
    assert((await until(approved, 'RUNNING')).start_time);
    const cluster = await face.client.beta.clusters.retrieve('train-a');
    const node = cluster.gpu_worker_nodes.find((node) => node.instance_id === opened.instance_id);
    assert.equal(cluster.status, 'Degraded');
    assert.equal(node.latest_remediation.state, 'RUNNING');
    await alert(opened.instance_id, { name, fires: false });
    machine(opened.instance_id, 'done');
    const ended = await until(approved, 'SUCCEEDED');
    assert(ended.end_time && ended.linked_alerts[0].resolved_at);
    const { node_lifecycle_events } = await face.client.beta.clusters.retrieve('train-a');
    const told = node_lifecycle_events.filter((event) => event.node_id === opened.instance_id);
    const words = ['Proposed', 'Approved', 'Started', 'Succeeded'].map((word) => `Remediation${word}`);
    assert.deepEqual(told.map((event) => event.reason), words);
  },

  async fails() {
    const opened = await proposal(instance());
    machine(opened.instance_id, 'refuse');
    const approved = await face.approve(opened, undefined, 'VM_ONLY');
    assert.equal(approved.mode, 'REMEDIATION_MODE_VM_ONLY');
    assert(!('review_comment' in approved));
    assert.match((await until(approved, 'FAILED')).error_message, /the machine says no/);
  },

  async isRejected() {
    const ended = await face.reject(await proposal(instance()), 'not tonight');
    assert.equal(ended.state, 'CANCELLED');
    assert.equal(ended.review_comment, 'not tonight');
    assert.equal((await face.reject(await proposal(instance()))).state, 'CANCELLED');
  },

  async isCancelled() {
    const ended = await face.cancel(await proposal(instance()));
    assert.equal(ended.state, 'CANCELLED');
    assert(ended.end_time && !('reviewed_by' in ended));
    const queued = await face.create('train-b', instance('train-b'), 'REBOOT_VM', 'called off');
    assert.equal(queued.state, 'PENDING');
    assert.equal((await face.cancel(queued)).state, 'CANCELLED');
  },

  async resolvesItself() {
    const opened = await proposal(instance());
    await alert(opened.instance_id, { fires: false });
    const ended = await until(opened, 'AUTO_RESOLVED');
    assert(ended.end_time && !ended.start_time && ended.linked_alerts[0].resolved_at);
  },

  async isManual() {
    const made = await face.create('train-a', instance(), 'REBOOT_VM', 'slow disk');
    assert.equal(made.trigger, 'REMEDIATION_TRIGGER_MANUAL');
    assert.deepEqual(made.linked_alerts, []);
    assert((await until(made, 'SUCCEEDED')).end_time);
    const again = await face.create('train-a', made.instance_id, 'VM_ONLY');
    assert(again.id !== made.id && !('reason' in again));
    await until(again, 'SUCCEEDED');
  },

  async supersedes() {
    const opened = await proposal(instance('train-b'));
    const made = await face.create('train-b', opened.instance_id, 'HOST_POWER_CYCLE', 'I know better');
    assert.equal(made.state, 'PENDING');
    assert.equal(made.linked_alerts[0].alert_name, 'DmesgGpuFallenOffBus');
    assert.equal((await face.get(opened)).state, 'CANCELLED');
    await face.cancel(made);
  },
};

// The client's own id, and answers that get lost.

async function keys() {
  const key = `walk.${process.pid}`;
  const at = instance('train-b');
  const first = await face.create('train-b', at, 'REBOOT_VM', 'named', key);
  const again = await face.create('train-b', at, 'REBOOT_VM', 'named', key);
  assert.deepEqual(still(again), still(first));
  const named = { id: key, cluster_id: 'train-b', instance_id: at };
  assert.equal((await face.get(named)).id, first.id);
  const ended = await face.cancel(named);
  assert.deepEqual(still(await face.create('train-b', at, 'REBOOT_VM', 'named', key)), still(ended));
}

async function toldAtLast(asks) {
  const mark = wire.length;
  losesNext = true;
  const answer = await asks();
  assert.equal(wire.length - mark, 2);
  return answer;
}

async function lostAnswers() {
  const at = instance('train-b');
  const made = await toldAtLast(() => face.create('train-b', at, 'REBOOT_VM', 'the answer was lost'));
  const found = await face.list('train-b', at);
  assert.deepEqual(found.remediations.map((row) => row.id), [made.id]);
  assert.equal((await toldAtLast(() => face.cancel(made))).state, 'CANCELLED');

  const opened = await proposal(instance('train-b'));
  const approved = await toldAtLast(() => face.approve(opened, 'go', 'VM_ONLY'));
  assert.equal(approved.state, 'PENDING');
  await face.cancel(approved);
  const other = await proposal(instance('train-b'));
  assert.equal((await toldAtLast(() => face.reject(other, 'no'))).review_comment, 'no');
}

// Every refusal: which error, which words, and one request only.

const INVALID = [Together.BadRequestError, 3];
const PRECONDITION = [Together.BadRequestError, 9];
const MISSING = [Together.NotFoundError, 5];
const TAKEN = [Together.ConflictError, 6];
const DENIED = [Together.PermissionDeniedError, 7];
const STRANGER = [Together.AuthenticationError, 16];

async function isRefused(does, asks, [kind, code], words) {
  const mark = wire.length;
  let answer;
  try {
    answer = await asks();
  } catch (error) {
    assert.equal(error.constructor, kind, `${does}: ${error}`);
    assert.equal(wire.length - mark, 1, `${does}: ${wire.slice(mark)}`);
    const { error: inner, ...status } = error.error;
    assert.deepEqual(status, { code, message: inner.message, details: [] }, does);
    assert(inner.type && inner.code === inner.type.toUpperCase() && inner.param === null, does);
    for (const word of words) {
      assert(error.message.toLowerCase().includes(word.toLowerCase()), `${does}: no ${word} in: ${error.message}`);
    }
    return;
  }
  assert.fail(`${does}: not refused: ${JSON.stringify(answer)}`);
}

async function refusals() {
  const b = 'train-b';
  const waiting = await proposal(instance(b));
  const pending = await face.create(b, instance(b), 'REBOOT_VM', 'waits its turn', 'key-1');
  const running = (await face.list(b, '-', { state: ['RUNNING'] })).remediations[0];
  const ended = await face.cancel(await face.create(b, instance(b), 'REBOOT_VM'));
  const onHost = await face.create(b, `${b}-${stage.instances - 2}`, 'REBOOT_VM', 'on a host that two share');
  const raised = await proposal(instance(b), { name: 'NpdKernelDeadlock' });
  await alert(raised.instance_id);
  await eventually('the mode is raised', async () => (await face.get(raised)).mode === `${MODE}HOST_AWARE`);
  const [held, free] = [instance(b), instance(b)];
  await post('/api/v1/holds', 'operator', { instance_id: held, reason: 'fan is out', for: '1h' });
  const token = (await face.list('train-c', '-', { page_size: 2 })).next_page_token;
  const before = await Promise.all([waiting, pending, running, ended, onHost, raised].map(face.get));

  const wrong = (where) => ({ ...waiting, ...where });
  const { list, create, get, approve, reject, cancel } = Object.fromEntries(
    ['list', 'create', 'get', 'approve', 'reject', 'cancel'].map((verb) => [verb, (...given) => () => face[verb](...given)]),
  );
  const only = 'only PENDING_APPROVAL can be';
  const early = 'only PENDING_APPROVAL or PENDING can be cancelled';
  const as = (name) => new Face(name);
  const table = [
    ['list of an unknown cluster', list('train-x'), MISSING, ['train-x']],
    ['list of an unknown instance', list(b, 'i-x'), MISSING, ['i-x']],
    ['get of a name that needs escapes', get(wrong({ cluster_id: 'x/../y% z' })), MISSING, ['x/../y% z']],
    ['get of an unknown one', get(wrong({ id: NOBODY })), MISSING, [NOBODY]],
    ["get from another's instance", get(wrong({ instance_id: free })), MISSING, [waiting.id]],
    ['get from another cluster', get(wrong({ cluster_id: 'train-a', instance_id: '-' })), MISSING, [waiting.id]],
    ['approve an unknown one', approve(wrong({ id: NOBODY })), MISSING, [NOBODY]],
    ['reject in an unknown cluster', reject(wrong({ cluster_id: 'train-x' })), MISSING, ['train-x']],
    ['cancel at an unknown instance', cancel(wrong({ instance_id: 'i-x' })), MISSING, [waiting.id]],
    ['create in an unknown cluster', create('train-x', 'i-x', 'VM_ONLY'), MISSING, ['train-x']],
    ['create on an unknown instance', create(b, 'i-x', 'VM_ONLY'), MISSING, ['i-x']],
    ['create on `-`', create(b, '-', 'VM_ONLY'), INVALID, ['instance_id']],
    ['create in no known mode', create(b, free, 'FASTER'), INVALID, ['FASTER']],
    ['create without a mode', () => face.rows.create(free, { cluster_id: b }), INVALID, ['mode: missing']],
    ['a reason like a book', create(b, free, 'VM_ONLY', 'x'.repeat(5000)), INVALID, ['reason', '4096']],
    ['a comment like a book', reject(waiting, 'x'.repeat(5000)), INVALID, ['comment', '4096']],
    ['approve in no known mode', approve(waiting, 'go', 'FASTER'), INVALID, ['FASTER']],
    ['approve with a power cycle instead', approve(waiting, 'go', 'HOST_POWER_CYCLE'), INVALID, ['HOST_POWER_CYCLE']],
    ['approve what was raised', approve(raised, 'as I read it'), PRECONDITION, ['HOST_AWARE', raised.id]],
    ['approve what is PENDING', approve(pending), PRECONDITION, [pending.id, 'PENDING', only]],
    ['approve what is RUNNING', approve(running), PRECONDITION, [running.id, 'RUNNING', only]],
    ['approve what ended', approve(ended), PRECONDITION, [ended.id, 'CANCELLED', only]],
    ['reject what is PENDING', reject(pending), PRECONDITION, [pending.id, 'PENDING', only]],
    ['reject what is RUNNING', reject(running), PRECONDITION, [running.id, 'RUNNING', only]],
    ['reject what ended', reject(ended), PRECONDITION, [ended.id, 'CANCELLED', only]],
    ['cancel what is RUNNING', cancel(running), PRECONDITION, [running.id, 'RUNNING', early]],
    ['cancel what ended', cancel(ended), PRECONDITION, [ended.id, 'CANCELLED', early]],
    ['create where one is queued', create(b, pending.instance_id, 'VM_ONLY', 'x'), PRECONDITION, [pending.id, 'PENDING']],
    ['create where one runs', create(b, running.instance_id, 'VM_ONLY', 'x'), PRECONDITION, [running.id, 'RUNNING']],
    ['create on a busy host', create(b, `${b}-${stage.instances - 1}`, 'VM_ONLY'), PRECONDITION, [onHost.id, 'host']],
    ['create on a held one', create(b, held, 'VM_ONLY'), PRECONDITION, ['held', 'fan is out']],
    ['another mode under a key', create(b, pending.instance_id, 'VM_ONLY', pending.reason, 'key-1'), TAKEN, ['key-1']],
    ['another reason under a key', create(b, pending.instance_id, 'REBOOT_VM', 'x', 'key-1'), TAKEN, [pending.id]],
    ['another instance under a key', create(b, free, 'REBOOT_VM', pending.reason, 'key-1'), TAKEN, [pending.id]],
    ['a key with a space', create(b, free, 'REBOOT_VM', 'x', 'a b'), INVALID, ['remediation_id']],
    ['a key that is too long', create(b, free, 'REBOOT_VM', 'x', 'x'.repeat(129)), INVALID, ['128']],
    ['list with no such state', list(b, '-', { state: ['PENDING', 'ASLEEP'] }), INVALID, ['ASLEEP']],
    ['list with no such mode', list(b, '-', { mode: ['VM_ONLY'] }), INVALID, ['VM_ONLY']],
    ['list with no such trigger', list(b, '-', { trigger: ['CRON'] }), INVALID, ['CRON']],
    ['list in no known order', list(b, '-', { order_by: 'order_by' }), INVALID, ['order_by']],
    ['list with a page below zero', list(b, '-', { page_size: -1 }), INVALID, ['page_size']],
    ['list from a made-up token', list(b, '-', { page_token: 'page_token' }), INVALID, ['page_token']],
    ['a token of another list', list(b, '-', { page_token: token }), INVALID, ['page_token']],
    ['a token of other filters', list('train-c', '-', { page_token: token, state: ['PENDING'] }), INVALID, ['page_token']],
    ['nobody', () => as('nobody').list(b), STRANGER, ['token']],
    ['a viewer approves', () => as('viewer').approve(waiting), DENIED, ['approver']],
    ['a viewer creates', () => as('viewer').create(b, free, 'VM_ONLY'), DENIED, ['operator']],
    ['an operator approves', () => as('operator').approve(waiting), DENIED, ['approver']],
    ['an operator cuts the power', () => as('operator').create(b, free, 'HOST_POWER_CYCLE'), DENIED, ['approver']],
    ['an Alertmanager reads', () => as('webhook').list(b), DENIED, ['viewer']],
    ['one of train-c reads train-b', () => as('narrow').list(b), MISSING, [b]],
    ['one of train-c approves in train-b', () => as('narrow').approve(waiting), MISSING, [b]],
  ];
  for (const row of table) await isRefused(...row);
  for (const row of before) assert.deepEqual(still(await face.get(row)), still(row));
  assert.deepEqual((await face.list(b, free)).remediations, []);
  const approved = await face.approve(raised, 'as it is', 'HOST_AWARE');
  assert.equal(approved.mode, `${MODE}HOST_AWARE`);
  return table.length;
}

// Paging while others are created.

async function paging() {
  const told = [];
  for (const order_by of ['create_time desc', 'create_time asc']) {
    const before = (await face.list('train-c', '-', { page_size: 1000 })).remediations.map((row) => row.id);
    assert(before.length >= stage.past);
    let made = 0;
    let ends = false;
    const creator = (async () => {
      while (!ends) {
        await face.cancel(await face.create('train-c', 'train-c-20', 'VM_ONLY', 'created meanwhile'));
        made += 1;
      }
    })();
    const read = [];
    let page_token;
    let pages = 0;
    do {
      const page = await face.list('train-c', '-', { page_size: PAGE, order_by, page_token });
      read.push(...page.remediations.map((row) => row.id));
      pages += 1;
      page_token = page.has_next ? page.next_page_token : undefined;
      assert(page.has_next || page.next_page_token === '');
      const so_far = made;
      await eventually('somebody creates', () => made > so_far);
    } while (page_token);
    ends = true;
    await creator;
    const seen = new Set(read);
    assert.equal(seen.size, read.length, 'a remediation came twice');
    assert.deepEqual(before.filter((id) => !seen.has(id)), [], 'a remediation is missing');
    told.push(`${read.length} on ${pages} pages while ${made} were created`);
  }
  return told.join('; ');
}

async function main() {
  let steps = 0;
  const step = (said) => console.log(`ok ${(steps += 1)} ${said}`);
  for (const [name, live] of Object.entries(lives)) {
    await live();
    step(`a remediation ${name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)}`);
  }
  const { clusters } = await face.client.beta.clusters.list();
  assert.deepEqual(clusters.map((cluster) => cluster.cluster_id), ['train-a', 'train-b', 'train-c']);
  await keys();
  step("a client's own id makes one remediation");
  await lostAnswers();
  step('lost answers are given again, and nothing is done twice');
  step(`${await refusals()} refusals, each in words`);
  step(await paging());
  step(answers.check(process.env.NODE_PATH));
}

main().catch((error) => {
  console.error(`FAILED: ${error.stack}`);
  process.exit(1);
});
