// Holds answers against the types of Together's TypeScript client, by its own compiler.
//
// Every shape of answer becomes a literal with its type beside it: a required key that lacks, a key that the type does
// not know, a value of another type or outside an enum does not compile. Each literal is then spoilt in every way that
// has to be noticed; one that compiles all the same is an error too, so the check cannot go blind.

'use strict';

const path = require('node:path');
const ts = require('typescript');

// Of these texts the value matters; any other text stands for all.
const ENUMS = new Set(['mode', 'state', 'trigger', 'severity', 'status', 'cluster_type', 'billing_type', 'gpu_type']);

// The types of whole answers.
const TYPES = {
  Remediation: "import('together-ai/resources/beta/clusters/remediations').Remediation",
  RemediationListResponse: "import('together-ai/resources/beta/clusters/remediations').RemediationListResponse",
  Cluster: "import('together-ai/resources/beta/clusters/clusters').Cluster",
  ClusterListResponse: "import('together-ai/resources/beta/clusters/clusters').ClusterListResponse",
};

class Answers {
  constructor() {
    this.shapes = new Map();
    this.seen = 0;
  }

  // Notes an answer of this type.
  add(type, body) {
    this.seen += 1;
    const shape = shapeOf(body);
    this.shapes.set(`${type} ${JSON.stringify(shape)}`, [type, shape]);
  }

  // Compiles all of them; says how many were right, and how many spoilt ones were noticed. `folder` has node_modules.
  check(folder) {
    const lines = [];
    const good = [];
    const spoilt = [];
    const known = new Set();
    for (const [type, shape] of this.shapes.values()) {
      good.push(line(lines, type, shape, `${type}: ${JSON.stringify(shape)}`));
      for (const [how, broken] of spoil(type, shape)) {
        const key = `${type} ${how}`;
        if (known.has(key)) continue;
        known.add(key);
        spoilt.push(line(lines, type, broken, key));
      }
    }
    const wrong = compile(folder, lines.join('\n'));
    for (const { at, what } of good) {
      if (wrong.has(at)) throw new Error(`an answer is not of its type: ${what}\n${wrong.get(at)}`);
    }
    const noticed = spoilt.filter(({ at }) => wrong.has(at));
    for (const { at, what } of spoilt) {
      if (!wrong.has(at)) throw new Error(`nobody notices: ${what}`);
    }
    return `${this.seen} answers in ${good.length} shapes are of their types, ${noticed.length} spoilt ones are not`;
  }
}

function line(lines, type, shape, what) {
  lines.push(`const _${lines.length}: ${TYPES[type]} = ${JSON.stringify(shape)};`);
  return { at: lines.length - 1, what };
}

// The answer with neutral texts and numbers, and each kind of row once.
function shapeOf(value, key) {
  if (Array.isArray(value)) {
    const kinds = new Map(value.map((row) => shapeOf(row)).map((row) => [JSON.stringify(row), row]));
    return [...kinds.keys()].sort().map((kind) => kinds.get(kind));
  }
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shapeOf(inner, key)]));
  }
  if (typeof value === 'string') return ENUMS.has(key) ? value : 'text';
  return typeof value === 'number' ? 1 : value;
}

// What has to be there in each kind of object, and which kind a key holds (CONTRACT: the schema's `required`).
const REQUIRED = {
  Remediation: 'id cluster_id instance_id mode state trigger',
  RemediationListResponse: 'remediations has_next next_page_token',
  Alert: 'passive_health_check_alert_id cluster_id target_vm alert_name severity annotations annotation started_at',
  Annotation: 'title description summary_line',
  Xid: 'events',
  Event: 'xid_code mnemonic count',
  SlurmNodeUnavailable: 'reason',
  ClusterListResponse: 'clusters',
  Cluster:
    'add_ons allocated_preemptible_gpus billing_type cluster_id cluster_name cluster_type control_plane_nodes ' +
    'cuda_version desired_preemptible_gpus gpu_type gpu_worker_nodes kube_config num_capacity_pool_gpus ' +
    'num_cpu_workers num_gpus num_reserved_gpus nvidia_driver_version phase_transitions project_id region status volumes',
  Node: 'host_name memory_gib networks node_id num_cpu_cores num_gpus phase_transitions status',
  LifecycleEvent: 'message node_id reason timestamp',
};
const KINDS = {
  remediations: 'Remediation',
  latest_remediation: 'Remediation',
  linked_alerts: 'Alert',
  annotation: 'Annotation',
  xid: 'Xid',
  events: 'Event',
  slurm_node_unavailable: 'SlurmNodeUnavailable',
  clusters: 'Cluster',
  gpu_worker_nodes: 'Node',
  node_lifecycle_events: 'LifecycleEvent',
};

// Every way to break an answer, with a name: a key too many, each required key left out, each value of another kind, and
// the same for every object inside.
function* spoil(kind, shape) {
  yield [`${kind} with a key too many`, { ...shape, surprise: 1 }];
  const required = REQUIRED[kind].split(' ');
  for (const key of required) {
    if (!(key in shape)) throw new Error(`${kind} lacks ${key}: ${JSON.stringify(shape)}`);
    const { [key]: _, ...rest } = shape;
    yield [`${kind} without ${key}`, rest];
  }
  for (const [key, value] of Object.entries(shape)) {
    yield [`${kind} with ${key} of another kind`, { ...shape, [key]: { surprise: 1 } }];
    yield [`${kind} with no ${key} but null`, { ...shape, [key]: null }];
    if (ENUMS.has(key) && kind !== 'Node') yield [`${kind} in no known ${key}`, { ...shape, [key]: 'NONE_SUCH' }];
    const inner = Array.isArray(value) ? value : [value];
    for (const [at, row] of inner.entries()) {
      if (!(key in KINDS) || row === null || typeof row !== 'object') continue;
      for (const [how, broken] of spoil(KINDS[key], row)) {
        yield [how, { ...shape, [key]: Array.isArray(value) ? inner.map((good, n) => (n === at ? broken : good)) : broken }];
      }
    }
  }
}

// The errors of the text, by line.
function compile(folder, text) {
  const file = path.join(folder, 'answers.ts');
  const options = {
    noEmit: true,
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: true,
    types: [],
    module: ts.ModuleKind.Node16,
    moduleResolution: ts.ModuleResolutionKind.Node16,
    target: ts.ScriptTarget.ES2022,
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.fileExists = (name) => name === file || fileExists(name);
  host.readFile = (name) => (name === file ? text : readFile(name));
  host.getSourceFile = (name, ...more) =>
    name === file ? ts.createSourceFile(name, text, ts.ScriptTarget.ES2022) : getSourceFile(name, ...more);
  const program = ts.createProgram([file], options, host);
  const wrong = new Map();
  for (const found of ts.getPreEmitDiagnostics(program)) {
    const said = ts.flattenDiagnosticMessageText(found.messageText, '\n');
    if (found.file?.fileName !== file) throw new Error(`the types cannot be read: ${found.file?.fileName}: ${said}`);
    const { line } = ts.getLineAndCharacterOfPosition(found.file, found.start);
    wrong.set(line, said);
  }
  return wrong;
}

module.exports = { Answers };
