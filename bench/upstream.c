// The upstream of the benchmarks: an OpenAI that answers at once, on loopback, in one thread. It is written in C so that
// it is never the bottleneck, and does only what bench/ needs: a chat completion, a stream of stamped events, a file down
// and a file up. GET /bench/set?events=N&interval_us=N&download_bytes=N turns its knobs; GET /bench/stats tells its counts.
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_BYTES_MAX 32768
#define PEEK_BYTES_MAX 4096
#define JSON_BODY_BYTES 1058
#define SCRATCH_BYTES 262144

#define COMMON_HEADERS                               \
  "date: Sun, 22 Nov 2026 10:00:00 GMT\r\n"          \
  "access-control-expose-headers: X-Request-ID\r\n"  \
  "openai-organization: org-bench\r\n"               \
  "openai-processing-ms: 421\r\n"                    \
  "openai-project: proj_bench\r\n"                   \
  "openai-version: 2020-10-01\r\n"                   \
  "x-ratelimit-limit-requests: 30000\r\n"            \
  "x-ratelimit-limit-tokens: 150000000\r\n"          \
  "x-ratelimit-remaining-requests: 29999\r\n"        \
  "x-ratelimit-remaining-tokens: 149999967\r\n"      \
  "x-ratelimit-reset-requests: 2ms\r\n"              \
  "x-ratelimit-reset-tokens: 0s\r\n"                 \
  "x-request-id: req_0123456789abcdef0123456789\r\n" \
  "strict-transport-security: max-age=31536000\r\n"  \
  "set-cookie: __cf_bm=bench; path=/; HttpOnly\r\n"  \
  "server: cloudflare\r\n"                           \
  "cf-ray: 0123456789abcdef-FRA\r\n"

#define EVENT_HEAD                                                                                         \
  "data: {\"id\":\"chatcmpl-Bench0123456789a\",\"object\":\"chat.completion.chunk\","          \
  "\"created\":1795341600,\"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\","              \
  "\"system_fingerprint\":\"fp_@"
#define NO_STAMP "00000000000000000000"
#define DELTA_TAIL                                                                                         \
  "\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},\"logprobs\":null,\"finish_reason\":null}]," \
  "\"usage\":null}\n\n"
#define USAGE_TAIL                                                                                         \
  "\",\"choices\":[],\"usage\":{\"prompt_tokens\":200,\"completion_tokens\":98,\"total_tokens\":298}}\n\n"

struct connection {
  int fd;
  enum { READS_HEAD, READS_BODY, REPLIES, STREAMS, DOWNLOADS } state;
  char head[HEAD_BYTES_MAX];
  size_t head_length;
  char peek[PEEK_BYTES_MAX];  // The first bytes of the body, enough to see "stream":true.
  size_t peek_length;
  uint64_t body_bytes;
  struct framing framing;
  struct chunks chunks;
  const char *out;  // What is still to be written: a constant, `reply`, or the stream's own `buffer`.
  size_t out_length;
  char reply[1024];
  char *buffer;  // A whole stream fits, so a slow reader never makes an event late at its source.
  size_t buffer_size;
  int events_left;
  uint64_t due;
  int heap_index;  // 1-based; 0 means not in the heap.
  uint64_t download_left;
  bool wants_write;
  struct connection *next_closed;
};

static struct { int events, interval_us; uint64_t download_bytes; } knobs = {100, 20000, 104857600};
static struct { uint64_t requests, connections, aborted; } counts;
static int epoll_fd;
static struct connection *closed_in_this_turn;
static char scratch[SCRATCH_BYTES], filler[SCRATCH_BYTES];
static char json_reply[4096], delta_chunk[512], usage_chunk[512];
static size_t json_length, delta_length, usage_length, delta_stamp_at, usage_stamp_at;
static const char done_chunk[] = "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";
static const char stream_head[] =
    "HTTP/1.1 200 OK\r\n" COMMON_HEADERS "content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";

// Streams by the time of their next event: a binary heap.
static struct connection **heap;
static int heap_length, heap_size;

static void heap_put(int i, struct connection *c) {
  heap[i] = c;
  c->heap_index = i;
}

static void heap_sift(int i, struct connection *c) {
  while (i > 1 && heap[i / 2]->due > c->due) {
    heap_put(i, heap[i / 2]);
    i /= 2;
  }
  for (int child; (child = 2 * i) <= heap_length; i = child) {
    if (child < heap_length && heap[child + 1]->due < heap[child]->due) child++;
    if (heap[child]->due >= c->due) break;
    heap_put(i, heap[child]);
  }
  heap_put(i, c);
}

static void heap_add(struct connection *c) {
  if (heap_length + 1 >= heap_size) {
    heap_size = heap_size == 0 ? 1024 : heap_size * 2;
    heap = realloc(heap, (size_t)heap_size * sizeof *heap);
  }
  heap_length++;
  heap_put(heap_length, c);
  heap_sift(heap_length, c);
}

static void heap_remove(struct connection *c) {
  int i = c->heap_index;
  c->heap_index = 0;
  struct connection *last = heap[heap_length--];
  if (last != c) heap_sift(i, last);
}

static void prepare_replies(void) {
  static const char before[] =
      "{\n  \"id\": \"chatcmpl-Bench0123456789abcdefghijklm\",\n  \"object\": \"chat.completion\",\n"
      "  \"created\": 1795341600,\n  \"model\": \"gpt-4o-mini-2024-07-18\",\n  \"choices\": [\n    {\n"
      "      \"index\": 0,\n      \"message\": {\n        \"role\": \"assistant\",\n        \"content\": \"";
  static const char after[] =
      "\",\n        \"refusal\": null,\n        \"annotations\": []\n      },\n      \"logprobs\": null,\n"
      "      \"finish_reason\": \"stop\"\n    }\n  ],\n  \"usage\": {\n    \"prompt_tokens\": 200,\n"
      "    \"completion_tokens\": 40,\n    \"total_tokens\": 240,\n    \"prompt_tokens_details\": {\n"
      "      \"cached_tokens\": 0,\n      \"audio_tokens\": 0\n    },\n    \"completion_tokens_details\": {\n"
      "      \"reasoning_tokens\": 0,\n      \"audio_tokens\": 0\n    }\n  },\n"
      "  \"service_tier\": \"default\",\n  \"system_fingerprint\": \"fp_0123456789\"\n}\n";
  json_length = (size_t)sprintf(json_reply,
                                "HTTP/1.1 200 OK\r\n" COMMON_HEADERS
                                "content-type: application/json\r\ncontent-length: %d\r\n\r\n%s",
                                JSON_BODY_BYTES, before);
  for (size_t left = JSON_BODY_BYTES - strlen(before) - strlen(after), i = 0; i < left; i++)
    json_reply[json_length++] = "a word of an answer "[i % 20];
  json_length += (size_t)sprintf(json_reply + json_length, "%s", after);

  const char *delta = EVENT_HEAD NO_STAMP DELTA_TAIL, *usage = EVENT_HEAD NO_STAMP USAGE_TAIL;
  delta_length = (size_t)sprintf(delta_chunk, "%zx\r\n%s\r\n", strlen(delta), delta);
  usage_length = (size_t)sprintf(usage_chunk, "%zx\r\n%s\r\n", strlen(usage), usage);
  delta_stamp_at = (size_t)(strchr(delta_chunk, '@') + 1 - delta_chunk);
  usage_stamp_at = (size_t)(strchr(usage_chunk, '@') + 1 - usage_chunk);
  memset(filler, 'x', sizeof filler);
}

static void close_connection(struct connection *c) {
  if (c->fd < 0) return;
  if (c->state != READS_HEAD || c->head_length > 0) counts.aborted++;
  if (c->heap_index > 0) heap_remove(c);
  close(c->fd);
  c->fd = -1;
  c->next_closed = closed_in_this_turn;  // Freed after the turn: epoll may still name it.
  closed_in_this_turn = c;
}

static void want_write(struct connection *c, bool wanted) {
  if (c->wants_write == wanted) return;
  c->wants_write = wanted;
  struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = c};
  epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

// Writes what it can. Whatever the socket does not take waits for EPOLLOUT.
static void flush_out(struct connection *c) {
  for (;;) {
    if (c->out_length == 0 && c->state == DOWNLOADS && c->download_left > 0) {
      c->out = filler;
      c->out_length = c->download_left < sizeof filler ? (size_t)c->download_left : sizeof filler;
      c->download_left -= c->out_length;
    }
    if (c->out_length == 0) break;
    ssize_t written = write(c->fd, c->out, c->out_length);
    if (written < 0) {
      if (errno == EAGAIN) want_write(c, true);
      else close_connection(c);
      return;
    }
    c->out += written;
    c->out_length -= (size_t)written;
  }
  want_write(c, false);
  if (c->state == STREAMS && c->events_left > 0) return;
  c->state = READS_HEAD;
}

static void emit_event(struct connection *c, uint64_t now) {
  const char *chunk = delta_chunk;
  size_t length = delta_length, stamp_at = delta_stamp_at;
  if (c->events_left == 2) chunk = usage_chunk, length = usage_length, stamp_at = usage_stamp_at;
  if (c->events_left == 1) chunk = done_chunk, length = sizeof done_chunk - 1, stamp_at = 0;
  if (c->out_length == 0) c->out = c->buffer;
  char *to = (char *)c->out + c->out_length;
  memcpy(to, chunk, length);
  if (stamp_at > 0)
    for (int i = STAMP_DIGITS - 1; i >= 0; i--, now /= 10) to[stamp_at + (size_t)i] = (char)('0' + now % 10);
  c->out_length += length;
  c->events_left--;
}

static void start_stream(struct connection *c) {
  size_t needed = sizeof stream_head + (size_t)knobs.events * sizeof delta_chunk;
  if (c->buffer_size < needed) {
    c->buffer = realloc(c->buffer, needed);
    c->buffer_size = needed;
  }
  c->state = STREAMS;
  c->out = c->buffer;
  c->out_length = sizeof stream_head - 1;
  memcpy(c->buffer, stream_head, c->out_length);
  c->events_left = knobs.events;
  uint64_t now = now_ns();
  emit_event(c, now);
  c->due = now + (uint64_t)knobs.interval_us * 1000;
  if (c->events_left > 0) heap_add(c);
  flush_out(c);
}

// Sends the events that are due, each stamped with the moment it is written. Schedules are absolute: no drift.
static void run_due_streams(void) {
  while (heap_length > 0) {
    struct connection *c = heap[1];
    uint64_t now = now_ns();
    if (c->due > now) return;
    emit_event(c, now);
    c->due += (uint64_t)knobs.interval_us * 1000;
    if (c->events_left == 0) heap_remove(c);
    else heap_sift(1, c);
    flush_out(c);
  }
}

static void reply_text(struct connection *c, const char *status, const char *text) {
  c->out_length = (size_t)snprintf(c->reply, sizeof c->reply,
                                   "HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s",
                                   status, strlen(text), text);
  c->out = c->reply;
  c->state = REPLIES;
  flush_out(c);
}

static void set_knobs(const char *query) {
  const char *value;
  if ((value = strstr(query, "events=")) != NULL) knobs.events = atoi(value + 7);
  if ((value = strstr(query, "interval_us=")) != NULL) knobs.interval_us = atoi(value + 12);
  if ((value = strstr(query, "download_bytes=")) != NULL) knobs.download_bytes = strtoull(value + 15, NULL, 10);
}

static void answer(struct connection *c) {
  char method[16] = "", target[512] = "", text[256];
  sscanf(c->head, "%15s %511s", method, target);
  c->head_length = 0;
  counts.requests++;
  if (strstr(target, "/chat/completions") != NULL) {
    if (memmem(c->peek, c->peek_length, "\"stream\":true", 13) != NULL) {
      start_stream(c);
    } else {
      c->state = REPLIES;
      c->out = json_reply;
      c->out_length = json_length;
      flush_out(c);
    }
  } else if (strstr(target, "/files/") != NULL && strcmp(method, "GET") == 0) {
    c->state = DOWNLOADS;
    c->download_left = knobs.download_bytes;
    c->out_length = (size_t)snprintf(c->reply, sizeof c->reply,
                                     "HTTP/1.1 200 OK\r\n" COMMON_HEADERS
                                     "content-type: application/octet-stream\r\ncontent-length: %llu\r\n\r\n",
                                     (unsigned long long)c->download_left);
    c->out = c->reply;
    flush_out(c);
  } else if (strstr(target, "/files") != NULL) {
    snprintf(text, sizeof text, "{\"id\":\"file-bench\",\"object\":\"file\",\"purpose\":\"batch\",\"bytes\":%llu}",
             (unsigned long long)c->body_bytes);
    reply_text(c, "200 OK", text);
  } else if (strncmp(target, "/bench/set?", 11) == 0) {
    set_knobs(target);
    reply_text(c, "200 OK", "{}");
  } else if (strcmp(target, "/bench/stats") == 0) {
    snprintf(text, sizeof text, "{\"requests\":%llu,\"connections\":%llu,\"aborted\":%llu}",
             (unsigned long long)counts.requests, (unsigned long long)counts.connections,
             (unsigned long long)counts.aborted);
    reply_text(c, "200 OK", text);
  } else {
    reply_text(c, "404 Not Found", "{\"error\":{\"message\":\"unknown path\",\"type\":\"invalid_request_error\"}}");
  }
}

static void take_body(struct connection *c, const char *data, size_t length) {
  size_t kept = PEEK_BYTES_MAX - c->peek_length;
  if (kept > length) kept = length;
  memcpy(c->peek + c->peek_length, data, kept);
  c->peek_length += kept;
  c->body_bytes += length;
}

static void read_head(struct connection *c, const char **in, size_t *length) {
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
  if (blank == NULL) {
    if (c->head_length == HEAD_BYTES_MAX - 1) close_connection(c);
    return;
  }
  c->framing = framing_of(c->head, c->head_length);
  c->chunks = (struct chunks){0};
  c->peek_length = 0;
  c->body_bytes = 0;
  c->state = READS_BODY;
  if (header_value(c->head, c->head_length, "expect") != NULL) {
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (write(c->fd, go_on, sizeof go_on - 1) < 0) close_connection(c);
  }
}

static void read_body(struct connection *c, const char **in, size_t *length) {
  if (c->framing.kind == LENGTH) {
    size_t taken = *length < c->framing.left ? *length : (size_t)c->framing.left;
    take_body(c, *in, taken);
    c->framing.left -= taken;
    *in += taken;
    *length -= taken;
    if (c->framing.left == 0) c->framing.kind = NO_BODY;
  } else if (c->framing.kind == CHUNKED) {
    const char *data;
    size_t data_length, used = chunks_next(&c->chunks, *in, *length, &data, &data_length);
    if (data_length > 0) take_body(c, data, data_length);
    *in += used;
    *length -= used;
    if (c->chunks.state == CHUNK_BROKEN) close_connection(c);
    if (c->chunks.state == CHUNK_DONE) c->framing.kind = NO_BODY;
  }
}

static void readable(struct connection *c) {
  ssize_t got = read(c->fd, scratch, sizeof scratch);
  if (got <= 0) {
    if (got == 0 || errno != EAGAIN) close_connection(c);
    return;
  }
  const char *in = scratch;
  size_t length = (size_t)got;
  while (c->fd >= 0 && length > 0) {
    if (c->state == READS_HEAD) read_head(c, &in, &length);
    else if (c->state == READS_BODY) read_body(c, &in, &length);
    else close_connection(c);  // A second request before the first was answered: pipelining is not spoken here.
    if (c->fd >= 0 && c->state == READS_BODY && c->framing.kind == NO_BODY) answer(c);
  }
}

static void accept_connections(int listener) {
  int fd;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct connection *c = calloc(1, sizeof *c);
    c->fd = fd;
    counts.connections++;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
  }
}

static int listen_on(int port) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&address, size) < 0) die("bind");
  if (listen(listener, 4096) < 0) die("listen");
  getsockname(listener, (struct sockaddr *)&address, &size);
  printf("{\"port\":%d}\n", ntohs(address.sin_port));
  fflush(stdout);
  return listener;
}

int main(int argc, char **argv) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);  // Never outlives the benchmark that started it.
  prctl(PR_SET_TIMERSLACK, 1);
  signal(SIGPIPE, SIG_IGN);
  allow_many_files();
  prepare_replies();
  epoll_fd = epoll_create1(0);
  int listener = listen_on(argc > 1 ? atoi(argv[1]) : 0);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    uint64_t now = now_ns(), due = heap_length > 0 ? heap[1]->due : 0, wait = due > now ? due - now : 0;
    struct timespec timeout = {(time_t)(wait / 1000000000u), (long)(wait % 1000000000u)};
    int ready = epoll_pwait2(epoll_fd, events, 256, heap_length > 0 ? &timeout : NULL, NULL);
    for (int i = 0; i < ready; i++) {
      struct connection *c = events[i].data.ptr;
      if (c == NULL) accept_connections(listener);
      else if (c->fd >= 0 && (events[i].events & (EPOLLHUP | EPOLLERR))) close_connection(c);
      else if (c->fd >= 0) {
        if (events[i].events & EPOLLOUT) flush_out(c);
        if (c->fd >= 0 && (events[i].events & EPOLLIN)) readable(c);
      }
    }
    run_due_streams();
    while (closed_in_this_turn != NULL) {
      struct connection *c = closed_in_this_turn;
      closed_in_this_turn = c->next_closed;
      free(c->buffer);
      free(c);
    }
  }
}
