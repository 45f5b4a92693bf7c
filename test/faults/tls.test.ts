// Certificates: only one that is valid for the upstream's name opens it; for any other no byte of the request is sent (U05).
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import tls from 'node:tls';

import { openStand } from '../support/stand.ts';

const skip = spawnSync('openssl', ['version']).status === 0 ? false : 'openssl is not installed';

const directory = mkdtempSync(join(tmpdir(), 'throughway-tls-'));
after(() => rmSync(directory, { recursive: true, force: true }));

interface Identity {
  readonly key: string;
  readonly cert: string;
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] });
}

function read(name: string): Identity {
  return {
    key: readFileSync(join(directory, `${name}.key`), 'utf8'),
    cert: readFileSync(join(directory, `${name}.pem`), 'utf8'),
  };
}

/** Signs for itself; nobody has been told to trust it. */
function selfSigned(name: string): Identity {
  openssl(
    'req',
    '-x509',
    ...KEY,
    '-keyout',
    `${name}.key`,
    '-out',
    `${name}.pem`,
    '-days',
    '2',
    '-subj',
    `/CN=${name}`,
  );
  return read(name);
}

/** Signed by the authority that this test trusts. @param days 0 has expired as soon as it is made */
function signed(name: string, host: string, days: number): Identity {
  writeFileSync(join(directory, `${name}.ext`), `subjectAltName=DNS:${host}\n`);
  openssl('req', ...KEY, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${host}`);
  const authority = ['-CA', 'authority.pem', '-CAkey', 'authority.key', '-CAcreateserial'];
  openssl(
    'x509',
    '-req',
    '-in',
    `${name}.csr`,
    ...authority,
    '-days',
    String(days),
    '-extfile',
    `${name}.ext`,
    '-out',
    `${name}.pem`,
  );
  return read(name);
}

/** What an upstream with this identity tells the client, and the bytes that it could read of the request. */
async function askOver(identity: Identity): Promise<{ status: number; seen: string; code: string | undefined }> {
  let seen = '';
  const server = tls.createServer(identity, (socket) => {
    socket.on('error', () => {});
    socket.on('data', (piece) => {
      seen += piece.toString('latin1');
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const stand = await openStand({ elsewhere: `https://localhost:${(server.address() as AddressInfo).port}/v1` });
  try {
    const reply = await stand.ask({ method: 'POST', target: '/openai/v1/responses', body: '{"model":"gpt-6"}' });
    const [record] = await stand.recorded(1);
    await stand.holdInvariants();
    return { status: reply.status, seen, code: record!.error?.code };
  } finally {
    await stand.close();
    server.close();
  }
}

test('an upstream is believed only with a certificate that is valid, trusted and its own', { skip }, async () => {
  const authority = selfSigned('authority');
  tls.setDefaultCACertificates([...tls.getCACertificates('default'), authority.cert]);

  const good = await askOver(signed('good', 'localhost', 2));
  assert.equal(good.status, 200);
  assert.match(good.seen, /^POST \/v1\/responses HTTP\/1\.1\r\n/);

  const bad: [Identity, RegExp][] = [
    [signed('expired', 'localhost', 0), /CERT_HAS_EXPIRED/],
    [signed('stranger', 'api.elsewhere.example', 2), /ALTNAME_INVALID/],
    [selfSigned('localhost'), /SELF_SIGNED/],
  ];
  for (const [identity, code] of bad) {
    const result = await askOver(identity);
    assert.equal(result.status, 502);
    assert.match(result.code ?? '', code);
    assert.equal(result.seen, '');
  }
});
