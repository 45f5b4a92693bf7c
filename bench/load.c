// The load of the benchmarks: one thread that sends one prepared request over many connections and times the replies.
//
//   load closed  --port P --request FILE [--conns N] [--seconds S | --count N] [--warm S]   a new request after each reply
//   load open    ... --rate R    R requests a second, each timed from the moment it was due, so that a reply which holds
//                                the next requests up is not forgiven (no coordinated omission)
//   load stream  ...             as closed, but the replies are streams: the delay of each stamped event is measured
//   load slow    --port P --request FILE --seconds S --bytes-per-second B     one reply, read slowly
//
// --pids A,B: processor time of these processes over the same window. --expect-bytes, --expect-events: what a right reply
// has; any other is an error. Prints one line of JSON. Sends the request's bytes as they are: they are made in requests.ts.
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD_BYTES_MAX 65536
#define SCRATCH_BYTES 262144
#define PIDS_MAX 64
#define DRAIN_NS 8000000000u

enum mode { CLOSED, OPEN, STREAM, SLOW };

static struct {
  enum mode mode;
  int port, conns;
  double seconds, warm, rate;
  long long count, expect_bytes, expect_events, bytes_per_second;
  const char *request;
  size_t request_length;
  int pids[PIDS_MAX], pid_count;
} options = {.conns = 64, .seconds = 3, .expect_bytes = -1, .expect_events = -1};

struct connection {
  int fd;
  bool busy, in_body, wants_write;
  size_t sent;
  uint64_t started;  // Closed loop: when it was sent. Open loop: when it was due.
  uint64_t first_byte;
  char head[HEAD_BYTES_MAX];
  size_t head_length;
  int status;
  bool closes;
  struct framing framing;
  struct chunks chunks;
  long long body_bytes;
  long long events;       // Counted by blank lines.
  int stamp_digits;       // -1: no stamp open. The stamp is '@' and 20 digits; no '@' stands elsewhere.
  uint64_t stamp, last_stamp;
  char last_char;
  struct connection *next_idle;
};

struct samples {
  uint64_t *values;  // Nanoseconds.
  size_t length, size;
};

static struct samples latencies, first_bytes, delays;
static struct { long long requests, errors, bytes, events, unfinished; } counts;
static uint64_t window_from, window_to, last_done;
static long long ticks_from = -1, ticks_to = -1;
static struct connection *conns;
static int epoll_fd, busy_count;
static uint64_t open_sent;
static struct connection *idle_first, *idle_last;
static char scratch[SCRATCH_BYTES];
static char first_error[256];

static void add_sample(struct samples *s, uint64_t value) {
  if (s->length == s->size) {
    s->size = s->size == 0 ? 65536 : s->size * 2;
    s->values = realloc(s->values, s->size * sizeof *s->values);
  }
  s->values[s->length++] = value;
}

static int by_value(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

static bool in_window(uint64_t t) { return t >= window_from && t < window_to; }

static void note_error(const char *what, long long value) {
  counts.errors++;
  if (first_error[0] == '\0') snprintf(first_error, sizeof first_error, "%s %lld", what, value);
}

// utime + stime of the named processes, in clock ticks. The comm field may hold spaces: fields count from its bracket.
static long long processor_ticks(void) {
  long long sum = 0;
  for (int i = 0; i < options.pid_count; i++) {
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", options.pids[i]);
    int fd = open(path, O_RDONLY);
    if (fd < 0) continue;
    ssize_t length = read(fd, line, sizeof line - 1);
    close(fd);
    if (length <= 0) continue;
    line[length] = '\0';
    char *field = strrchr(line, ')');
    unsigned long long user = 0, system = 0;
    if (field != NULL)
      sscanf(field + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system);
    sum += (long long)(user + system);
  }
  return sum;
}

// Processor time is read at the very edges of the window, between two turns of the loop.
static void read_processor_at_edges(void) {
  uint64_t now = now_ns();
  if (ticks_from < 0 && now >= window_from) ticks_from = processor_ticks();
  if (ticks_to < 0 && now >= window_to) ticks_to = processor_ticks();
}

static void want_write(struct connection *c, bool wanted) {
  if (c->wants_write == wanted) return;
  c->wants_write = wanted;
  struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = c};
  epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

static int connect_once(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

static void open_connection(struct connection *c) {
  c->fd = connect_once();
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  c->wants_write = false;
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
}

static void push_idle(struct connection *c) {
  c->next_idle = NULL;
  if (idle_first == NULL) idle_first = c;
  else idle_last->next_idle = c;
  idle_last = c;
}

static struct connection *pop_idle(void) {
  struct connection *c = idle_first;
  if (c != NULL) idle_first = c->next_idle;
  return c;
}

// Ends an exchange that went wrong, whatever it was doing, and starts over on a new connection.
static void fail(struct connection *c, const char *what, long long value) {
  note_error(what, value);
  close(c->fd);
  open_connection(c);
  if (c->busy) busy_count--;
  c->busy = false;
  push_idle(c);
}

static void write_request(struct connection *c) {
  while (c->sent < options.request_length) {
    ssize_t written = write(c->fd, options.request + c->sent, options.request_length - c->sent);
    if (written < 0) {
      if (errno == EAGAIN) want_write(c, true);
      else fail(c, "write failed, errno", errno);
      return;
    }
    c->sent += (size_t)written;
  }
  want_write(c, false);
}

static void start_exchange(struct connection *c, uint64_t started) {
  c->busy = true;
  busy_count++;
  c->started = started;
  c->sent = c->head_length = 0;
  c->in_body = false;
  c->first_byte = c->stamp = c->last_stamp = 0;
  c->body_bytes = c->events = 0;
  c->stamp_digits = -1;
  c->last_char = '\0';
  write_request(c);
}

static void finish_exchange(struct connection *c) {
  uint64_t now = now_ns();
  last_done = now;
  if (c->status != 200) return fail(c, "status", c->status);
  if (options.expect_bytes >= 0 && c->body_bytes != options.expect_bytes) return fail(c, "body bytes", c->body_bytes);
  if (options.expect_events >= 0 && c->events != options.expect_events) return fail(c, "events", c->events);
  // An open-loop request belongs to the moment it was due, a closed-loop one to the moment it ended.
  if (in_window(options.mode == OPEN ? c->started : now)) {
    counts.requests++;
    counts.bytes += c->body_bytes;
    add_sample(&latencies, now - c->started);
  }
  c->busy = false;
  busy_count--;
  if (c->closes) {
    close(c->fd);
    open_connection(c);
  }
  push_idle(c);
}

static void scan_events(struct connection *c, const char *data, size_t length, uint64_t now) {
  for (size_t i = 0; i < length; i++) {
    char byte = data[i];
    if (c->stamp_digits >= 0) {
      if (byte < '0' || byte > '9') note_error("broken stamp at event", c->events);
      c->stamp = c->stamp * 10 + (uint64_t)(byte - '0');
      if (++c->stamp_digits == STAMP_DIGITS) {
        c->stamp_digits = -1;
        if (c->stamp < c->last_stamp || c->stamp > now) note_error("stamp out of order at event", c->events);
        else if (in_window(now)) add_sample(&delays, now - c->stamp);
        c->last_stamp = c->stamp;
      }
    } else if (byte == '@') {
      c->stamp_digits = 0;
      c->stamp = 0;
    } else if (byte == '\n' && c->last_char == '\n') {
      c->events++;
      if (in_window(now)) counts.events++;
    }
    c->last_char = byte;
  }
}

static void take_body(struct connection *c, const char *data, size_t length, uint64_t now) {
  if (c->first_byte == 0) {
    c->first_byte = now;
    if (in_window(c->started)) add_sample(&first_bytes, now - c->started);
  }
  c->body_bytes += (long long)length;
  if (options.mode == STREAM) scan_events(c, data, length, now);
}

static bool read_head(struct connection *c, const char **in, size_t *length) {
  size_t before = c->head_length, room = HEAD_BYTES_MAX - 1 - before;
  size_t taken = *length < room ? *length : room;
  memcpy(c->head + before, *in, taken);
  size_t search_from = before > 3 ? before - 3 : 0;
  char *blank = memmem(c->head + search_from, before + taken - search_from, "\r\n\r\n", 4);
  if (blank != NULL) taken = (size_t)(blank + 4 - c->head) - before;
  c->head_length += taken;
  c->head[c->head_length] = '\0';
  *in += taken;
  *length -= taken;
  if (blank == NULL) return c->head_length < HEAD_BYTES_MAX - 1;
  c->status = (int)strtol(c->head + 9, NULL, 10);
  if (c->status == 100) {
    c->head_length = 0;
    return true;
  }
  const char *connection = header_value(c->head, c->head_length, "connection");
  c->closes = connection != NULL && strncasecmp(connection, "close", 5) == 0;
  c->framing = framing_of(c->head, c->head_length);
  c->chunks = (struct chunks){0};
  c->in_body = true;
  return true;
}

static void read_body(struct connection *c, const char **in, size_t *length, uint64_t now) {
  if (c->framing.kind == LENGTH) {
    size_t taken = *length < c->framing.left ? *length : (size_t)c->framing.left;
    take_body(c, *in, taken, now);
    c->framing.left -= taken;
    *in += taken;
    *length -= taken;
    if (c->framing.left == 0) c->framing.kind = NO_BODY;
  } else {
    const char *data;
    size_t data_length, used = chunks_next(&c->chunks, *in, *length, &data, &data_length);
    if (data_length > 0) take_body(c, data, data_length, now);
    *in += used;
    *length -= used;
    if (c->chunks.state == CHUNK_DONE) c->framing.kind = NO_BODY;
  }
}

static void readable(struct connection *c) {
  ssize_t got = read(c->fd, scratch, sizeof scratch);
  uint64_t now = now_ns();
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) {
    if (c->busy) return fail(c, "the connection ended before the reply did, body bytes", c->body_bytes);
    close(c->fd);  // An idle connection that the server let go.
    open_connection(c);
    return;
  }
  const char *in = scratch;
  size_t length = (size_t)got;
  while (c->busy && (length > 0 || (c->in_body && c->framing.kind == NO_BODY))) {
    if (c->in_body && c->framing.kind == NO_BODY) {
      if (length > 0) return fail(c, "bytes after the reply", (long long)length);
      finish_exchange(c);
    } else if (c->in_body) {
      read_body(c, &in, &length, now);
      if (c->framing.kind == CHUNKED && c->chunks.state == CHUNK_BROKEN) return fail(c, "broken chunk after", c->body_bytes);
    } else if (!read_head(c, &in, &length)) {
      return fail(c, "head too large", (long long)c->head_length);
    }
  }
}

static void turn(uint64_t until) {
  struct epoll_event events[256];
  uint64_t now = now_ns();
  if (now < window_from && until > window_from) until = window_from;
  if (now < window_to && until > window_to) until = window_to;
  uint64_t wait = until > now ? until - now : 0;
  struct timespec timeout = {(time_t)(wait / 1000000000u), (long)(wait % 1000000000u)};
  int ready = epoll_pwait2(epoll_fd, events, 256, &timeout, NULL);
  for (int i = 0; i < ready; i++) {
    struct connection *c = events[i].data.ptr;
    if ((events[i].events & EPOLLOUT) && c->busy) write_request(c);
    if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(c);
  }
  read_processor_at_edges();
}

// Keeps every connection busy. Streams start spread over the warm-up, or all their events would fall in the same instants.
static void run_closed(uint64_t begin, uint64_t spread) {
  struct connection *c;
  long long started = 0;
  while (now_ns() < window_to) {
    while (idle_first != NULL && (options.count == 0 || started < options.count)) {
      uint64_t now = now_ns();
      if (started < options.conns && now < begin + spread * (uint64_t)started / (uint64_t)options.conns) break;
      c = pop_idle();
      started++;
      start_exchange(c, now);
    }
    if (options.count > 0 && counts.requests + counts.errors >= options.count) return;
    uint64_t next = begin + spread * (uint64_t)started / (uint64_t)options.conns;
    turn(started < options.conns && next < window_to ? next : window_to);
  }
}

static uint64_t due_at(uint64_t begin, uint64_t n) { return begin + (uint64_t)((double)n * 1e9 / options.rate); }

// Sends each request when it is due, or as soon as a connection is free: its time runs from when it was due.
static void run_open(uint64_t begin) {
  for (;;) {
    uint64_t now = now_ns(), due = due_at(begin, open_sent);
    if (now >= window_to && (due >= window_to || now >= window_to + DRAIN_NS)) return;
    if (due <= now && due < window_to && idle_first != NULL) {
      start_exchange(pop_idle(), due);
      open_sent++;
    } else {
      turn(due > now ? due : now + 1000000);
    }
  }
}

// Lets what is under way end, so that one variant's rest is not the next one's load. In an open loop what never came
// counts as well, with the time it has waited so far.
static void drain(uint64_t begin) {
  uint64_t give_up = now_ns() + DRAIN_NS;
  while (busy_count > 0 && now_ns() < give_up) turn(give_up);
  counts.unfinished = busy_count;
  if (options.mode != OPEN) return;
  for (int i = 0; i < options.conns; i++)
    if (conns[i].busy && in_window(conns[i].started)) add_sample(&latencies, now_ns() - conns[i].started);
  for (uint64_t due; (due = due_at(begin, open_sent)) < window_to; open_sent++) {
    counts.unfinished++;
    if (in_window(due)) add_sample(&latencies, now_ns() - due);
  }
}

// Reads one reply at a fixed pace and stops in its middle; the processes' memory is watched by the caller meanwhile.
static void run_slow(void) {
  int fd = connect_once();
  if (write(fd, options.request, options.request_length) < 0) die("write");
  uint64_t begin = now_ns();
  window_from = begin;
  while (now_ns() - begin < (uint64_t)(options.seconds * 1e9)) {
    double allowed = (double)(now_ns() - begin) / 1e9 * (double)options.bytes_per_second;
    if ((double)counts.bytes < allowed) {
      ssize_t got = read(fd, scratch, 65536);
      if (got <= 0) die("the reply ended before the slow reader did");
      counts.bytes += got;
    } else {
      struct timespec nap = {0, 2000000};
      nanosleep(&nap, NULL);
    }
  }
  last_done = now_ns();
  close(fd);
}

static void print_samples(const char *name, struct samples *s) {
  qsort(s->values, s->length, sizeof *s->values, by_value);
  const double shares[] = {0.5, 0.9, 0.99, 1};
  const char *labels[] = {"p50", "p90", "p99", "max"};
  printf(",\"%s\":{\"samples\":%zu", name, s->length);
  for (int i = 0; i < 4 && s->length > 0; i++) {
    size_t rank = (size_t)(shares[i] * (double)s->length);
    if (rank >= s->length) rank = s->length - 1;
    printf(",\"%s_us\":%.1f", labels[i], (double)s->values[rank] / 1000);
  }
  printf("}");
}

static void print_result(void) {
  double ticks_per_second = (double)sysconf(_SC_CLK_TCK);
  printf("{\"seconds\":%.4f,\"requests\":%lld,\"errors\":%lld,\"first_error\":\"%s\",\"unfinished\":%lld",
         (double)(window_to - window_from) / 1e9, counts.requests, counts.errors, first_error, counts.unfinished);
  printf(",\"bytes\":%lld,\"events\":%lld,\"cpu_us\":%.0f", counts.bytes, counts.events,
         (double)(ticks_to - ticks_from) * 1e6 / ticks_per_second);
  print_samples("latency", &latencies);
  print_samples("first_byte", &first_bytes);
  print_samples("delay", &delays);
  printf("}\n");
}

static void load_request(const char *path) {
  int fd = open(path, O_RDONLY);
  struct stat status;
  if (fd < 0 || fstat(fd, &status) < 0) die(path);
  options.request_length = (size_t)status.st_size;
  options.request = mmap(NULL, options.request_length, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
  if (options.request == MAP_FAILED) die(path);
}

static void read_options(int argc, char **argv) {
  const char *modes[] = {"closed", "open", "stream", "slow"};
  int mode = 0;
  while (mode < 4 && (argc < 2 || strcmp(argv[1], modes[mode]) != 0)) mode++;
  if (mode == 4) {
    fprintf(stderr, "usage: load closed|open|stream|slow --port P --request FILE [options]\n");
    exit(2);
  }
  options.mode = (enum mode)mode;
  for (int i = 2; i + 1 < argc; i += 2) {
    const char *name = argv[i], *value = argv[i + 1];
    if (strcmp(name, "--port") == 0) options.port = atoi(value);
    else if (strcmp(name, "--request") == 0) load_request(value);
    else if (strcmp(name, "--conns") == 0) options.conns = atoi(value);
    else if (strcmp(name, "--seconds") == 0) options.seconds = atof(value);
    else if (strcmp(name, "--warm") == 0) options.warm = atof(value);
    else if (strcmp(name, "--rate") == 0) options.rate = atof(value);
    else if (strcmp(name, "--count") == 0) options.count = atoll(value);
    else if (strcmp(name, "--expect-bytes") == 0) options.expect_bytes = atoll(value);
    else if (strcmp(name, "--expect-events") == 0) options.expect_events = atoll(value);
    else if (strcmp(name, "--bytes-per-second") == 0) options.bytes_per_second = atoll(value);
    else if (strcmp(name, "--pids") == 0) {
      for (char *next = (char *)value; *next != '\0' && options.pid_count < PIDS_MAX; next += *next == ',')
        options.pids[options.pid_count++] = (int)strtol(next, &next, 10);
    } else {
      fprintf(stderr, "load: unknown option %s\n", name);
      exit(2);
    }
  }
  if (options.port == 0 || options.request == NULL || (options.mode == OPEN && options.rate <= 0)) {
    fprintf(stderr, "load: --port, --request and for open --rate are needed\n");
    exit(2);
  }
}

int main(int argc, char **argv) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);  // Never outlives the benchmark that started it.
  prctl(PR_SET_TIMERSLACK, 1);
  signal(SIGPIPE, SIG_IGN);
  allow_many_files();
  read_options(argc, argv);
  epoll_fd = epoll_create1(0);
  if (options.mode != SLOW) {
    conns = calloc((size_t)options.conns, sizeof *conns);
    for (int i = 0; i < options.conns; i++) {
      open_connection(&conns[i]);
      push_idle(&conns[i]);
    }
  }
  uint64_t begin = now_ns(), warm = (uint64_t)(options.warm * 1e9);
  window_from = begin + warm;
  window_to = options.count > 0 ? UINT64_MAX : window_from + (uint64_t)(options.seconds * 1e9);
  read_processor_at_edges();
  if (options.mode == OPEN) run_open(begin);
  else if (options.mode == SLOW) run_slow();
  else run_closed(begin, options.mode == STREAM ? warm : 0);
  if (window_to > last_done && (options.count > 0 || options.mode == SLOW)) window_to = last_done;
  read_processor_at_edges();
  if (options.mode != SLOW) drain(begin);
  print_result();
  return 0;
}
