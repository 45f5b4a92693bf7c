// What upstream.c and load.c share: a clock, a look into a head, and a decoder for chunked bodies.
#pragma once
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <time.h>

#define STAMP_DIGITS 20

static inline uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void die(const char *what) {
  perror(what);
  exit(1);
}

// A thousand streams need more descriptors than most shells allow by default.
static inline void allow_many_files(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

// The value of a header in a complete head (first line and blank line included), or NULL. Names compare without case.
static inline const char *header_value(const char *head, size_t length, const char *name) {
  size_t name_length = strlen(name);
  const char *end = head + length;
  const char *line = memchr(head, '\n', length);
  while (line != NULL && ++line < end) {
    if ((size_t)(end - line) > name_length && line[name_length] == ':' && strncasecmp(line, name, name_length) == 0) {
      const char *value = line + name_length + 1;
      while (*value == ' ' || *value == '\t') value++;
      return value;
    }
    line = memchr(line, '\n', (size_t)(end - line));
  }
  return NULL;
}

// How the body after a head is framed. `left` is only meaningful for LENGTH.
struct framing {
  enum { NO_BODY, LENGTH, CHUNKED } kind;
  uint64_t left;
};

static inline struct framing framing_of(const char *head, size_t length) {
  struct framing framing = {NO_BODY, 0};
  const char *value = header_value(head, length, "transfer-encoding");
  if (value != NULL && strncasecmp(value, "chunked", 7) == 0) {
    framing.kind = CHUNKED;
  } else if ((value = header_value(head, length, "content-length")) != NULL) {
    framing.left = strtoull(value, NULL, 10);
    framing.kind = framing.left > 0 ? LENGTH : NO_BODY;
  }
  return framing;
}

// A chunked body, decoded piece by piece whatever way it was cut by the network.
struct chunks {
  enum { CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_DATA, CHUNK_END, CHUNK_TRAILER, CHUNK_DONE, CHUNK_BROKEN } state;
  uint64_t left;
  size_t line_length;
};

static inline int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Takes framing bytes up to the next piece of data. Answers how many input bytes it used, and the piece in *data and
// *data_length (zero when the input ended first). Call again with the rest until the input is used up or state is DONE.
static inline size_t chunks_next(struct chunks *c, const char *in, size_t length, const char **data,
                                 size_t *data_length) {
  size_t i = 0;
  *data_length = 0;
  while (i < length && c->state < CHUNK_DONE) {
    if (c->state == CHUNK_DATA) {
      size_t piece = length - i < c->left ? length - i : (size_t)c->left;
      *data = in + i;
      *data_length = piece;
      c->left -= piece;
      if (c->left == 0) c->state = CHUNK_END;
      return i + piece;
    }
    char byte = in[i++];
    if (c->state == CHUNK_SIZE || c->state == CHUNK_EXTENSION) {
      int digit = c->state == CHUNK_SIZE ? hex_digit(byte) : -1;
      if (digit >= 0) {
        c->left = c->left * 16 + (uint64_t)digit;
        c->line_length++;
      } else if (byte == '\n') {
        if (c->line_length == 0) c->state = CHUNK_BROKEN;
        else c->state = c->left > 0 ? CHUNK_DATA : CHUNK_TRAILER;
        c->line_length = 0;
      } else {
        if (byte != '\r' && byte != ';' && byte != ' ' && c->state == CHUNK_SIZE) c->state = CHUNK_BROKEN;
        else c->state = CHUNK_EXTENSION;
      }
    } else if (c->state == CHUNK_END) {
      if (byte == '\n') c->state = CHUNK_SIZE;
      else if (byte != '\r') c->state = CHUNK_BROKEN;
    } else {  // Trailers are read and dropped; a blank line ends them.
      if (byte != '\n' && byte != '\r') c->line_length++;
      if (byte == '\n') {
        if (c->line_length == 0) c->state = CHUNK_DONE;
        c->line_length = 0;
      }
    }
  }
  return i;
}
