// Loaded before each test file: closes the network beyond loopback, so that a forgotten call to the real world fails loudly.
import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';

/** Also the unspecified addresses: to connect to one is to connect to this machine. */
const LOOPBACK = /^(localhost|.+\.localhost|127(\.\d{1,3}){3}|::ffff:127(\.\d{1,3}){3}|0\.0\.0\.0|::1|::|)$/i;

function assertLoopback(host: string, deed: string): void {
  if (LOOPBACK.test(host.replace(/^\[(.*)\]$/, '$1'))) return;
  throw new Error(
    `a test tried to ${deed} ${host}: tests reach loopback only; start what it needs on 127.0.0.1, port 0`,
  );
}

/** What `connect` was asked for, in each of its spellings; undefined for a socket file. */
function hostOf(args: readonly unknown[]): string | undefined {
  // node:net hands its own calls on as one list of options and callback.
  const [first, second]: readonly unknown[] = Array.isArray(args[0]) ? args[0] : args;
  if (typeof first === 'object' && first !== null) {
    const options = first as Partial<net.TcpNetConnectOpts & net.IpcNetConnectOpts>;
    return options.path === undefined ? (options.host ?? '') : undefined;
  }
  // connect(port, host) or connect(path)
  if (typeof first === 'string' && Number.isNaN(Number(first))) return undefined;
  return typeof second === 'string' ? second : '';
}

// The one way out of all TCP, TLS and HTTP of Node.
const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (this: net.Socket, ...args: unknown[]): net.Socket {
  const host = hostOf(args);
  if (host !== undefined) assertLoopback(host, 'connect to');
  return Reflect.apply(connect, this, args);
};

closeLookups(dns, ['lookup', 'resolve', 'resolve4', 'resolve6']);
closeLookups(dns.promises, ['lookup', 'resolve', 'resolve4', 'resolve6']);
syncBuiltinESMExports();

function closeLookups(owner: object, names: readonly string[]): void {
  const functions = owner as Record<string, (...args: unknown[]) => unknown>;
  for (const name of names) {
    const original = functions[name]!;
    functions[name] = (...args) => {
      const [host] = args;
      if (typeof host === 'string' && net.isIP(host) === 0) assertLoopback(host, 'look up');
      return Reflect.apply(original, owner, args);
    };
  }
}
