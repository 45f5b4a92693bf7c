// TLS in front of a plain port: the SDK's realtime client speaks wss and nothing else.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { promisify } from 'node:util';

export interface TlsFront {
  readonly port: number;
  /** What a client must trust. */
  readonly certificate: string;
  close(): Promise<void>;
}

/** Needs the openssl command for its self-signed certificate; undefined where there is none. */
export async function startTlsFront(plainPort: number): Promise<TlsFront | undefined> {
  const made = await selfSigned();
  if (made === undefined) return undefined;
  const { key, certificate } = made;
  const server = createServer({ key, cert: certificate }, (encrypted) => {
    const plain = connect(plainPort, '127.0.0.1');
    encrypted.pipe(plain).pipe(encrypted);
    encrypted.on('error', () => plain.destroy());
    plain.on('error', () => encrypted.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    certificate,
    close: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}

async function selfSigned(): Promise<{ key: string; certificate: string } | undefined> {
  const directory = await mkdtemp(join(tmpdir(), 'throughway-tls-'));
  const [key, certificate] = [join(directory, 'key.pem'), join(directory, 'certificate.pem')];
  try {
    const request = 'req -x509 -nodes -days 2 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj /CN=localhost';
    const names = ['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', certificate];
    await promisify(execFile)('openssl', request.split(' ').concat(names));
    return { key: await readFile(key, 'utf8'), certificate: await readFile(certificate, 'utf8') };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  } finally {
    await rm(directory, { recursive: true });
  }
}
