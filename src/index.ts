// What a host program may import.
export { type Settings } from './config/config.ts';
export { type Config, ConfigError, type Environment, type Flags, loadConfig, resolveConfig } from './config/load.ts';
export { Secret } from './config/secret.ts';
export { type Clock } from './domain/clock.ts';
export { type ExchangeRecord } from './domain/exchange-record.ts';
export { type Gateway, type GatewayOptions, startGateway } from './gateway.ts';
export { type Log } from './telemetry/log.ts';
