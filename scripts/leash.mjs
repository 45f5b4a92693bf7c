// Loaded into each command before its own code. The command runs in a process group of its own, so nothing would end it
// where its starter is killed outright: the channel between them breaks, and it takes that as SIGTERM.
if (process.channel) {
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  process.channel.unref();
}
