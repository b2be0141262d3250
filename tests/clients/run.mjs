// Runs real sync clients against the real program: starts the AWS double and `zerocloud serve` on free loopback ports, gives the
// people passwords, runs PouchDB's and Couchbase Lite's tests and generated calls of the REST API, and ends all that it started.
//   node run.mjs [pouchdb] [couchbase-lite] [api]     All when none is named. The programs are those in CARGO_TARGET_DIR.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const programs = join(process.env.CARGO_TARGET_DIR ?? join(homedir(), '.cache/zerocloud/target'), 'debug');
const PEOPLE = ['ada', 'lin', 'max'];
const PASSWORD = 'correct horse battery staple';
const AWS_ID = '111122223333';
const REGION = 'us-east-1';
// A database beside zerocloud's, for what its access rules leave no room for, such as attachments.
const NOTES = { bucket: 'notes', sync: 'function (doc, oldDoc) { channel(doc._deleted ? oldDoc.channels : doc.channels); }' };

// Of a session of the REST API, bounded so that it ends within minutes.
const SCHEMATHESIS = process.env.SCHEMATHESIS ?? join(homedir(), '.cache/zerocloud/schemathesis/bin/schemathesis');

const CLIENTS = {
  pouchdb: [
    ['npm', 'ci', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'],
    ['npm', 'test', '--silent'],
  ],
  // Maven's own talk is left out, the numbers of tests are not.
  'couchbase-lite': [[
    'mvn', '--batch-mode', '--no-transfer-progress', 'test',
    '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', '-Dorg.slf4j.simpleLogger.log.org.apache.maven.plugin.surefire=info',
  ]],
};

// What the REST API is tried with: generated calls, judged by its own description.
const API = {
  api: [[
    SCHEMATHESIS, '--config-file', '{known}', 'run', '{web}/api/openapi.json', '--header', 'Authorization: Bearer {admin}', '--max-examples', '12', '--seed', '1',
    '--workers', '2', '--phases', 'examples,coverage,fuzzing', '--request-timeout', '30',
    '--checks', 'not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance',
    // Streams last for minutes each, and signing in on a device is GitHub's: both have tests of their own.
    '--exclude-path', '/api/v1/events', '--exclude-path-regex', '/api/v1/device.*', '--max-time', '90',
  ]],
};
Object.assign(CLIENTS, API);

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(CLIENTS);
const unknown = names.filter((name) => !(name in CLIENTS));
if (unknown.length > 0) {
  console.error(`no such client: ${unknown.join(', ')}; there are ${Object.keys(CLIENTS).join(' and ')}`);
  process.exit(2);
}
const { status } = spawnSync(join(here, 'prerequisites.sh'), { stdio: 'inherit' });
if (status !== 0) {
  process.exit(status ?? 2);
}

const folder = mkdtempSync(join(tmpdir(), 'zerocloud-clients-'));
const started = [];
let ending = false;

// In a process group of its own, so that ending it ends what it started.
function start(command, options) {
  if (ending) {
    throw new Error('interrupted');
  }
  const child = spawn(command[0], command.slice(1), { detached: true, ...options });
  child.ended = new Promise((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('exit', (code, signal) => resolve(code ?? signal));
  });
  started.push(child);
  return child;
}

async function endAll() {
  ending = true;
  for (const child of started) {
    if (!child.pid || child.exitCode !== null || child.signalCode !== null) {
      continue;
    }
    process.kill(-child.pid, 'SIGTERM');
    const killing = setTimeout(() => process.kill(-child.pid, 'SIGKILL'), 25_000);
    await child.ended;
    clearTimeout(killing);
  }
  rmSync(folder, { recursive: true, force: true });
}

async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

async function send(method, url, body) {
  const answer = await fetch(url, { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  if (!answer.ok) {
    throw new Error(`${method} ${url}: ${answer.status} ${await answer.text()}`);
  }
}

async function startAws() {
  const double = start([join(programs, 'ec2-double')], { stdio: ['ignore', 'pipe', 'inherit'] });
  const first = once(createInterface({ input: double.stdout }), 'line');
  const [line] = await Promise.race([
    first,
    double.ended.then((why) => {
      throw new Error(`ec2-double ended (${why}); is it built in ${programs}?`);
    }),
  ]);
  const { url, home } = JSON.parse(line);
  await send('POST', `${url}/_double/roles`, { arn: `arn:aws:iam::${AWS_ID}:role/zerocloud`, external_id: 'a-long-random-text' });
  return { url, home };
}

// JSON is YAML. Nothing ends by itself: the stage is notify.
function configuration(aws, ports) {
  const every = '* * * * * *';
  return {
    store: { data: join(folder, 'data'), public: `127.0.0.1:${ports[0]}`, admin: `127.0.0.1:${ports[1]}` },
    web: { listen: `127.0.0.1:${ports[2]}` },
    aws: {
      access_key_id: aws.home.access_key_id,
      secret_access_key: aws.home.secret_access_key,
      requests_per_second: 100,
      endpoints: { ec2: aws.url, sts: aws.url, ses: aws.url, autoscaling: aws.url, cloudtrail: aws.url },
    },
    mail: { from: 'zerocloud@bigdb.example' },
    schedule: { poll: every, sweep: every, outbox: every, cleanup: every },
    accounts: [{
      id: 'bigdb',
      name: 'BigDB',
      policy: { settle: '1s', default_lease: '30m', max_lease: '3h', grace: '10m', warnings: ['1m'], min_notice: '1m' },
      aws_accounts: [{
        aws_id: AWS_ID, name: 'BigDB Dev', regions: [REGION], stage: 'notify',
        role_arn: `arn:aws:iam::${AWS_ID}:role/zerocloud`, external_id: 'a-long-random-text',
      }],
      users: PEOPLE.map((id) => ({ id, name: id, email: `${id}@bigdb.example`, role: id === 'ada' ? 'admin' : 'dev' })),
    }],
  };
}

async function startZerocloud(aws) {
  const ports = await freePorts(3);
  const config = join(folder, 'config.yml');
  writeFileSync(config, JSON.stringify(configuration(aws, ports)));
  const log = createWriteStream(join(folder, 'log'));
  await once(log, 'open');
  const options = { stdio: ['ignore', log, log], env: { ...process.env, NO_COLOR: '1' } };
  const service = start([join(programs, 'zerocloud'), '--config', config, 'serve'], options);
  const [publicUrl, adminUrl, webUrl] = ports.map((port) => `http://127.0.0.1:${port}`);
  let ended;
  service.ended.then((why) => (ended = why));
  const ready = async () => (await fetch(`${adminUrl}/zerocloud/user::bigdb::max`).catch(() => null))?.ok;
  for (const deadline = Date.now() + 60_000; !(await ready()); await pause(100)) {
    if (ended !== undefined || Date.now() > deadline) {
      throw new Error(`zerocloud ${ended === undefined ? 'is not ready' : `ended (${ended})`}`);
    }
  }
  await send('PUT', `${adminUrl}/notes/`, NOTES);
  for (const user of PEOPLE) {
    await send('PUT', `${adminUrl}/zerocloud/_user/bigdb.${user}`, { password: PASSWORD });
    await send('PUT', `${adminUrl}/notes/_user/bigdb.${user}`, { password: PASSWORD, admin_channels: ['all', user] });
  }
  const tokens = { lin: await token(adminUrl, 'lin'), ada: await token(adminUrl, 'ada') };
  return { publicUrl, adminUrl, webUrl, tokens };
}

// A personal access token, as the pages make them: only its hash is stored.
async function token(adminUrl, user) {
  const secret = `zcp_${randomBytes(32).toString('base64url')}`;
  const hash = createHash('sha256').update(secret).digest('hex');
  const [created, expires] = [0, 86_400_000].map((ms) => new Date(Date.now() + ms).toISOString().replace(/\.\d+/, ''));
  await send('PUT', `${adminUrl}/zerocloud/api_token::${hash}`, {
    type: 'api_token', schema: 1, account: 'bigdb', user, name: 'tests', scopes: ['read', 'write', 'admin', 'sync'],
    created, expires, purge_at: expires,
  });
  return secret;
}

async function call(webUrl, token, method, path, body) {
  const answer = await fetch(`${webUrl}/api/v1/${path}`, {
    method, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: body && JSON.stringify(body),
  });
  if (!answer.ok) {
    throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  }
  return answer.json();
}

// Documents of every kind, and their ids for most of the generated calls, so that these meet something.
async function seed(aws, webUrl, token) {
  const api = (method, path, body) => call(webUrl, token, method, path, body);
  const ec2 = { account: AWS_ID, region: REGION, spec: { tags: { owner: 'lin@bigdb.example' } } };
  await send('POST', `${aws.url}/_double/instances`, ec2);
  let leases;
  for (const deadline = Date.now() + 60_000; !(leases = (await api('GET', 'leases')).items).length; await pause(200)) {
    if (Date.now() > deadline) {
      throw new Error('no lease was made');
    }
  }
  const lease = leases[0].id;
  const request = await api('POST', `leases/${lease}/requests?wait=10`, { action: 'renew' });
  const hook = await api('POST', 'hooks', { name: 'tests', url: 'https://hooks.bigdb.example/x' });
  const rule = { by: 'name', value: 'web-*', reason: 'tests', until: '2099-01-01T00:00:00Z' };
  const exemption = await api('POST', 'exemptions', rule);
  const values = {
    lease: [lease], aws_id: [AWS_ID], user: ['lin', 'max'], policy: ['account', 'user:lin', `aws:${AWS_ID}`],
    scope: ['account', AWS_ID], id: [request.id, hook.id, exemption.id], picture: ['days.svg', 'owners.svg'],
  };
  const lines = [];
  for (const [name, known] of Object.entries(values)) {
    lines.push(`[dictionaries.${name}]`, `values = ${JSON.stringify(known)}`);
  }
  lines.push('[parameters]');
  for (const name of Object.keys(values)) {
    lines.push(`"path.${name}" = { dictionary = "${name}", probability = 0.8 }`);
  }
  const file = join(folder, 'schemathesis.toml');
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

async function run(names) {
  const aws = await startAws();
  const { publicUrl, adminUrl, webUrl, tokens } = await startZerocloud(aws);
  const env = {
    ...process.env,
    ZEROCLOUD_PUBLIC_URL: publicUrl,
    ZEROCLOUD_ADMIN_URL: adminUrl,
    ZEROCLOUD_WEB_URL: webUrl,
    ZEROCLOUD_TEST_TOKEN: tokens.lin,
    ZEROCLOUD_TEST_AWS: aws.url,
    ZEROCLOUD_TEST_PASSWORD: PASSWORD,
    ZEROCLOUD_TEST_FOLDER: folder,
  };
  let failed = false;
  const known = names.includes('api') ? await seed(aws, webUrl, tokens.ada) : '';
  for (const name of names) {
    for (const template of CLIENTS[name]) {
      const command = template.map((part) => part.replace('{web}', webUrl).replace('{admin}', tokens.ada).replace('{known}', known));
      const code = await start(command, { cwd: name in API ? folder : join(here, name), env, stdio: ['ignore', 'inherit', 'inherit'] }).ended;
      if (code !== 0) {
        console.error(`${name}: ${template.join(' ')}: ${code}`);
        failed = true;
        break;
      }
    }
  }
  return failed;
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => endAll().finally(() => process.exit(1)));
}
let failed = true;
try {
  failed = await run(names);
} catch (error) {
  console.error(error.message);
}
if (failed) {
  try {
    console.error(`zerocloud's log ends:\n${readFileSync(join(folder, 'log'), 'utf8').split('\n').slice(-25).join('\n')}`);
  } catch {
    // It never started.
  }
}
await endAll();
process.exit(failed ? 1 : 0);
