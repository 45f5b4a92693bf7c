// Networks that a key may be used from: `10.0.0.0/8`, `2001:db8::/32`, or one address. An IPv4 address inside an IPv6 one is the IPv4 address.
import { BlockList, isIP } from 'node:net';

/** Answers remembered for each list. */
const REMEMBERED_MAX = 256;

interface Network {
  readonly address: string;
  readonly bits: number;
  readonly family: 'ipv4' | 'ipv6';
}

export function networkFault(text: string): string | null {
  return parseNetwork(text) === null ? 'write a network such as 10.0.0.0/8 or 2001:db8::/32, or one address' : null;
}

/** Whether an address is in one of the networks. An address that cannot be read is in none. */
export function networksOf(texts: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const text of texts) {
    const network = parseNetwork(text);
    if (network !== null) list.addSubnet(network.address, network.bits, network.family);
  }
  const remembered = new Map<string, boolean>();
  return (address) => {
    let isInside = remembered.get(address);
    if (isInside === undefined) {
      const parsed = parseAddress(address);
      isInside = parsed !== null && list.check(parsed.address, parsed.family);
      if (remembered.size >= REMEMBERED_MAX) remembered.clear();
      remembered.set(address, isInside);
    }
    return isInside;
  };
}

function parseNetwork(text: string): Network | null {
  const match = /^([0-9A-Fa-f:.]+)(?:\/(\d{1,3}))?$/.exec(text);
  if (match === null) return null;
  const family = isIP(match[1]!);
  if (family === 0) return null;
  const bitsMax = family === 4 ? 32 : 128;
  const bits = match[2] === undefined ? bitsMax : Number(match[2]);
  if (bits > bitsMax) return null;
  const mapped = family === 6 && bits >= 96 ? mappedIpv4(match[1]!) : null;
  if (mapped !== null) return { address: mapped, bits: bits - 96, family: 'ipv4' };
  return { address: match[1]!, bits, family: family === 4 ? 'ipv4' : 'ipv6' };
}

function parseAddress(text: string): Omit<Network, 'bits'> | null {
  const address = text.replace(/%.*$/s, '');
  const family = isIP(address);
  if (family === 0) return null;
  if (family === 4) return { address, family: 'ipv4' };
  const mapped = mappedIpv4(address);
  return mapped === null ? { address, family: 'ipv6' } : { address: mapped, family: 'ipv4' };
}

/** `::ffff:10.0.0.1`, however it is spelled, as `10.0.0.1`. */
function mappedIpv4(address: string): string | null {
  // The URL parser writes each IPv6 address in its one shortest form.
  const match = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/.exec(new URL(`http://[${address}]`).hostname);
  if (match === null) return null;
  const [high, low] = [Number.parseInt(match[1]!, 16), Number.parseInt(match[2]!, 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}
