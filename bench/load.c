/* The load client: options, the commands that come on standard input, the measured phases.

   Each line on standard input is a command; each is answered by one line of JSON:
     connect at_once=64 limit=60    open all subscribers, so many at a time, and wait for them
     paced rate=50 secs=3           publish so often, whether or not all was delivered
     closed window=4 secs=2.5       at most so many messages published and not delivered to all;
            count=0                 ends after so many, if not 0, or after secs
     rest secs=1                    send nothing; what comes is still taken (and polls go on)
     leave                          close all subscribers
     miss count=20                  publish so many while they are away
     return at_once=1000 limit=60   connect all again with their cursors; wait for what they missed
     quit
   Every publishing phase then waits for what is still under way, at most drain=10 seconds. */
#include "load.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { DELAYS_KEPT = 1 << 22, LINE_ROOM = 1024 };

struct options options = {
    .transport = WEBSOCKET, .publishers = 4, .channels = 1, .channel = "public:bench", .path = "/",
    .headers = "", .say = "", .ready = "", .cursor_header = "", .publish_path = "/",
    .publish_headers = "", .publish_body = "{message}", .message_bytes = 128,
};
struct tally tally;
bool measuring;

static uint32_t *delays; /* microseconds from publishing to delivery */
static uint64_t delays_count;

uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ull + time.tv_nsec;
}

void give_up(const char *why) {
    perror(why);
    exit(1);
}

static const struct value *named(const char *at, const struct value *values, int count) {
    for (int i = 0; i < count; i++) {
        int length = strlen(values[i].name);
        if (!strncmp(at + 1, values[i].name, length) && at[1 + length] == '}') return &values[i];
    }
    return NULL; /* a brace of JSON */
}

int fill(char *out, int room, const char *pattern, const struct value *values, int count) {
    int length = 0;
    while (*pattern) {
        const struct value *value = *pattern == '{' ? named(pattern, values, count) : NULL;
        const char *text = value ? value->text : pattern;
        int size = value ? (int)strlen(text) : 1;
        if (length + size >= room) give_up("a path, head, frame or body that is too long");
        memcpy(out + length, text, size);
        length += size;
        pattern += value ? strlen(value->name) + 2 : 1;
    }
    out[length] = 0;
    return length;
}

void record_delay(uint64_t ns) {
    if (delays_count < DELAYS_KEPT) delays[delays_count++] = ns / 1000;
}

static double seconds_since(uint64_t when) { return (now() - when) / 1e9; }

/* Never sleep while measuring: waking a sleeping core costs the sender, and a real server's
   clients do not sleep on the core beside it. */
static void let_through(void) { streams_wait(0); }

static void begin(void) {
    tally = (struct tally){.began = now()};
    tally.counts_from = tally.began;
    delays_count = 0;
    measuring = true;
}

static int by_size(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double delay_ms(double share) {
    if (!delays_count) return 0;
    return delays[(uint64_t)((delays_count - 1) * share)] / 1e3;
}

static void end(double seconds) {
    measuring = false;
    if (tally.delivered) seconds = (tally.last_delivery - tally.began) / 1e9;
    qsort(delays, delays_count, sizeof *delays, by_size);
    printf("{\"published\":%lu,\"confirmed\":%lu,\"refused\":%lu,\"expected\":%lu,\"delivered\":%lu,"
           "\"reordered\":%lu,\"repeated\":%lu,\"strays\":%lu,\"misdelivered\":%lu,"
           "\"answers\":%lu,\"bad_answers\":%lu,\"closed\":%lu,\"frames\":%lu,\"live\":%d,"
           "\"secs\":%.4f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f}\n",
           tally.published, tally.confirmed, tally.refused, tally.expected, tally.delivered,
           tally.reordered, tally.repeated, tally.strays, tally.misdelivered, tally.answers,
           tally.bad_answers, tally.closed, tally.frames,
           subscribers_live(), seconds, delay_ms(.5), delay_ms(.99), delay_ms(1));
}

static void drain(double limit) {
    uint64_t began = now();
    while ((tally.delivered < tally.expected || publishers_wait()) &&
           seconds_since(began) < limit)
        let_through();
}

static void connect_all(int at_once, double limit) {
    uint64_t began = now();
    int asked = 0, settled = 0;
    while (settled < options.subscribers && seconds_since(began) < limit) {
        while (asked < options.subscribers && asked - settled < at_once)
            subscriber_connect(asked++);
        streams_wait(50);
        settled = subscribers_live() + subscribers_failed();
    }
}

static void run_connect(int at_once, double limit) {
    uint64_t began = now();
    connect_all(at_once, limit);
    printf("{\"live\":%d,\"failed\":%d,\"secs\":%.4f}\n", subscribers_live(), subscribers_failed(),
           seconds_since(began));
}

static void run_paced(double rate, double seconds, double drain_limit) {
    uint64_t total = rate * seconds < 1 ? 1 : rate * seconds;
    begin();
    while (tally.published < total && seconds_since(tally.began) < seconds + drain_limit) {
        uint64_t due = seconds_since(tally.began) * rate + 1;
        while (tally.published < due && tally.published < total && publish()) continue;
        let_through();
    }
    drain(drain_limit);
    end(seconds_since(tally.began));
}

static void run_leave(void) {
    subscribers_leave();
    printf("{}\n");
}

static void run_miss(uint64_t count, double limit) {
    begin();
    while ((tally.published < count || publishers_wait()) && seconds_since(tally.began) < limit) {
        while (tally.published < count && publish()) continue;
        streams_wait(1);
    }
    tally.expected = 0; /* nobody is there yet */
    end(seconds_since(tally.began));
}

/* What run_miss published counts here. */
static void run_return(int at_once, double limit) {
    uint64_t missed = tally.confirmed, since = tally.began;
    begin();
    tally.counts_from = since;
    tally.expected = missed * options.subscribers;
    connect_all(at_once, limit);
    drain(limit);
    tally.last_delivery = now(); /* all have everything, and know it */
    end(seconds_since(tally.began));
}

/* With nobody subscribed, a message is done when its publisher has its answer. */
static bool room_in(uint64_t window) {
    uint64_t everyone = channel_receivers(0);
    if (!everyone) return tally.published - tally.confirmed - tally.refused < window;
    return tally.expected - tally.delivered <= (window - 1) * everyone;
}

static void run_closed(uint64_t window, double seconds, uint64_t count, double drain_limit) {
    begin();
    while (seconds_since(tally.began) < seconds && (!count || tally.published < count)) {
        while (room_in(window) && (!count || tally.published < count) && publish()) continue;
        let_through();
    }
    drain(drain_limit);
    end(seconds_since(tally.began));
}

static void run_rest(double seconds) {
    begin();
    while (seconds_since(tally.began) < seconds) streams_wait(20);
    end(seconds_since(tally.began));
}

static double number(const char *line, const char *name, double otherwise) {
    char key[32];
    snprintf(key, sizeof key, " %s=", name);
    const char *found = strstr(line, key);
    return found ? atof(found + strlen(key)) : otherwise;
}

static bool is(const char *line, const char *command) {
    return !strncmp(line, command, strlen(command));
}

static void run_command(const char *line) {
    double drain_limit = number(line, "drain", 10);
    if (is(line, "connect"))
        run_connect(number(line, "at_once", 64), number(line, "limit", 60));
    else if (is(line, "paced"))
        run_paced(number(line, "rate", 10), number(line, "secs", 3), drain_limit);
    else if (is(line, "closed"))
        run_closed(number(line, "window", 1), number(line, "secs", 3), number(line, "count", 0),
                   drain_limit);
    else if (is(line, "rest"))
        run_rest(number(line, "secs", 1));
    else if (is(line, "leave"))
        run_leave();
    else if (is(line, "miss"))
        run_miss(number(line, "count", 20), number(line, "limit", 60));
    else if (is(line, "return"))
        run_return(number(line, "at_once", 1000), number(line, "limit", 60));
    else if (is(line, "quit"))
        exit(0);
    else
        give_up(line);
    fflush(stdout);
}

static void read_options(char **argument) {
    for (; *argument; argument += 2) {
        char *name = argument[0], *value = argument[1];
        if (!value) give_up(name);
        if (!strcmp(name, "--transport"))
            options.transport = !strcmp(value, "sse")        ? SSE
                                : !strcmp(value, "longpoll") ? LONGPOLL
                                                             : WEBSOCKET;
        else if (!strcmp(name, "--port")) options.port = atoi(value);
        else if (!strcmp(name, "--subscribers")) options.subscribers = atoi(value);
        else if (!strcmp(name, "--publishers")) options.publishers = atoi(value);
        else if (!strcmp(name, "--channels")) options.channels = atoi(value);
        else if (!strcmp(name, "--channel")) options.channel = value;
        else if (!strcmp(name, "--path")) options.path = value;
        else if (!strcmp(name, "--headers")) options.headers = value;
        else if (!strcmp(name, "--say")) options.say = value;
        else if (!strcmp(name, "--tokens")) options.tokens = value;
        else if (!strcmp(name, "--cursor-header")) options.cursor_header = value;
        else if (!strcmp(name, "--first-waits")) options.first_waits = atoi(value);
        else if (!strcmp(name, "--ready")) options.ready = value;
        else if (!strcmp(name, "--publish-path")) options.publish_path = value;
        else if (!strcmp(name, "--publish-headers")) options.publish_headers = value;
        else if (!strcmp(name, "--publish-body")) options.publish_body = value;
        else if (!strcmp(name, "--message-bytes")) options.message_bytes = atoi(value);
        else give_up(name);
    }
}

static void allow_many_connections(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void stop(void) {
    subscribers_stop();
    publishers_stop();
}

int main(int count, char **arguments) {
    (void)count;
    read_options(arguments + 1);
    allow_many_connections();
    delays = malloc(DELAYS_KEPT * sizeof *delays);
    if (!delays) give_up("memory");
    streams_start();
    subscribers_start();
    publishers_start();
    atexit(stop);
    char line[LINE_ROOM];
    while (true) {
        /* Commands come one at a time: the next only after this one's answer. */
        while (!streams_wait(-1)) continue;
        ssize_t length = read(STDIN_FILENO, line, sizeof line - 1);
        if (length <= 0) return 0; /* whoever started this is gone */
        line[length] = 0;
        run_command(line);
    }
}
