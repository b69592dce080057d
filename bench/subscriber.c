/* Subscribers over WebSocket, SSE or long poll: what each has received, and when. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The key and its answer are the example of RFC 6455 section 1.3: no SHA-1 is needed here. */
#define WEBSOCKET_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define WEBSOCKET_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

enum { REQUEST_ROOM = 8192, PATH_ROOM = 4096, TOKEN_ROOM = 1024 };
enum { SAY_ROOM = LONGEST_FRAME };
enum { MARK_LENGTH = 36 };

struct subscriber {
    struct stream stream; /* first: a stream's address is its subscriber's */
    bool live;            /* the server has said that it is subscribed */
    int64_t newest;       /* number of the newest message; -1: none */
    uint8_t *seen;        /* a bit for each message number: it has come */
    int64_t seen_bytes;
    char cursor[VALUE_ROOM], connection[VALUE_ROOM]; /* what it was told last */
    char *token;
};

static struct subscriber *subscribers;
static int live, failed;
static bool resumes; /* with a cursor that is kept */

static void read_tokens(void) {
    char line[TOKEN_ROOM];
    FILE *file = fopen(options.tokens, "r");
    if (!file) give_up(options.tokens);
    for (int i = 0; i < options.subscribers; i++) {
        if (!fgets(line, sizeof line, file)) give_up("fewer tokens than subscribers");
        line[strcspn(line, "\n")] = 0;
        subscribers[i].token = strdup(line);
    }
    fclose(file);
}

void subscribers_start(void) {
    subscribers = calloc(options.subscribers + 1, sizeof *subscribers);
    if (!subscribers) give_up("memory");
    for (int i = 0; i < options.subscribers; i++) {
        subscribers[i].newest = -1;
        subscribers[i].token = "";
    }
    if (options.tokens) read_tokens();
    resumes = options.transport == LONGPOLL || strstr(options.path, "{cursor}");
}

int subscribers_live(void) { return live; }
int subscribers_failed(void) { return failed; }

static void go_live(struct subscriber *subscriber) {
    if (!subscriber->live) live++;
    subscriber->live = true;
}

static void leave(struct subscriber *subscriber) {
    if (subscriber->live) live--;
    subscriber->live = false;
}

void subscribers_leave(void) {
    for (int i = 0; i < options.subscribers; i++) {
        stream_close(&subscribers[i].stream);
        leave(&subscribers[i]);
    }
    failed = 0;
}

void subscribers_stop(void) {
    for (int i = 0; i < options.subscribers; i++) stream_close(&subscribers[i].stream);
}

static void send_request(struct subscriber *subscriber) {
    static const char *const headers[] = {
        [WEBSOCKET] = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Key: " WEBSOCKET_KEY "\r\n",
        [SSE] = "Accept: text/event-stream\r\n",
        [LONGPOLL] = "",
    };
    static unsigned requests;
    char channels[PATH_ROOM], path[PATH_ROOM], own[TOKEN_ROOM + 512], number[16];
    char request[REQUEST_ROOM];
    write_channels(subscriber - subscribers, channels, sizeof channels);
    snprintf(number, sizeof number, "%010u", requests++);
    struct value values[] = {{"channel", channels},
                             {"cursor", subscriber->cursor},
                             {"token", subscriber->token},
                             {"request", number},
                             {"connection", subscriber->connection}};
    fill(path, sizeof path, options.path, values, 5);
    fill(own, sizeof own, options.headers, values, 5);
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s%s\r\n", path, options.port,
                          headers[options.transport], own);
    stream_send(&subscriber->stream, request, length);
}

static void open_subscription(struct subscriber *subscriber) {
    subscriber->stream.role = SUBSCRIBER;
    if (!stream_open(&subscriber->stream)) {
        failed++;
        return;
    }
    subscriber->stream.stage = options.transport == LONGPOLL ? OPEN : HANDSHAKE;
    send_request(subscriber);
    if (options.first_waits) go_live(subscriber);
}

void subscriber_connect(int index) { open_subscription(&subscribers[index]); }

void subscriber_closed(struct stream *stream) {
    struct subscriber *subscriber = (struct subscriber *)stream;
    if (!subscriber->live) {
        failed++;
        return;
    }
    tally.closed++;
    if (options.transport == LONGPOLL) open_subscription(subscriber); /* with its cursor */
}

/* Remember that this message has come; return false if it had come before. Every number is
   remembered: a server may let one publisher wait while hundreds of messages pass. */
static bool first_time(struct subscriber *subscriber, int64_t number) {
    int64_t byte = number / 8;
    uint8_t bit = 1 << number % 8;
    if (byte >= subscriber->seen_bytes) {
        int64_t bytes = byte * 2 + 64;
        subscriber->seen = realloc(subscriber->seen, bytes);
        if (!subscriber->seen) give_up("memory");
        memset(subscriber->seen + subscriber->seen_bytes, 0, bytes - subscriber->seen_bytes);
        subscriber->seen_bytes = bytes;
    }
    if (subscriber->seen[byte] & bit) return false;
    subscriber->seen[byte] |= bit;
    return true;
}

/* Publishers run side by side, so a message may overtake another; none may come twice. */
static void count_message(struct subscriber *subscriber, int64_t number, uint64_t sent,
                          uint64_t at) {
    if (number >= messages_written()) give_up("a message that was never published");
    if (!has_channel(subscriber - subscribers, number % options.channels)) {
        tally.misdelivered++;
        return;
    }
    if (!first_time(subscriber, number)) {
        tally.repeated++;
        return;
    }
    if (number < subscriber->newest)
        tally.reordered++;
    else
        subscriber->newest = number;
    if (!measuring || sent < tally.counts_from) {
        tally.strays++; /* of an earlier phase */
        return;
    }
    tally.delivered++;
    tally.last_delivery = at;
    record_delay(at - sent);
}

/* Find every mark "@@<11 digits>,<20 digits>@@", whatever stands around it. */
static void take_messages(struct subscriber *subscriber, const char *bytes, int length,
                          uint64_t at) {
    const char *end = bytes + length;
    while ((bytes = memmem(bytes, end - bytes, "@@", 2)) && end - bytes >= MARK_LENGTH) {
        if (bytes[13] != ',' || bytes[34] != '@') {
            bytes += 2;
            continue;
        }
        count_message(subscriber, strtoll(bytes + 2, NULL, 10), strtoull(bytes + 14, NULL, 10), at);
        bytes += MARK_LENGTH;
    }
}

static void look_for_ready(struct subscriber *subscriber, const char *bytes, int length) {
    if (!subscriber->live && memmem(bytes, length, options.ready, strlen(options.ready)))
        go_live(subscriber);
}

/* Say what is to be said when a frame comes that begins with what a line of options.say begins
   with; a line that begins with nothing is said once the connection is open. */
static void say(struct subscriber *subscriber, const char *frame, int length) {
    char channels[PATH_ROOM], text[SAY_ROOM];
    for (const char *line = options.say; *line;) {
        int when = strcspn(line, "\t"), all = strcspn(line, "\n");
        if (when == all) give_up("a line of --say without a tab");
        if (frame ? when && when <= length && !memcmp(frame, line, when) : !when) {
            char pattern[SAY_ROOM];
            snprintf(pattern, sizeof pattern, "%.*s", all - when - 1, line + when + 1);
            write_channels(subscriber - subscribers, channels, sizeof channels);
            struct value value = {"channel", channels};
            int size = fill(text, sizeof text, pattern, &value, 1);
            send_frame(&subscriber->stream, TEXT, text, size);
        }
        line += all + (line[all] == '\n');
    }
}

static bool take_cursor(struct subscriber *subscriber, const char *json, int length) {
    return copy_value(subscriber->cursor, "\"cursor\":", json, length) ||
           copy_value(subscriber->cursor, "\"id\":", json, length);
}

static int take_frames(struct subscriber *subscriber, const char *bytes, int length, uint64_t at) {
    int used = 0, payload_at;
    int64_t whole;
    while ((whole = frame_length((const unsigned char *)bytes + used, length - used, &payload_at))) {
        const char *payload = bytes + used + payload_at;
        int payload_length = whole - payload_at, opcode = bytes[used] & 15;
        tally.frames++;
        if (opcode == CLOSE) return -1;
        if (opcode == PING) {
            send_frame(&subscriber->stream, PONG, payload, payload_length);
        } else {
            if (*options.say) say(subscriber, payload, payload_length);
            if (resumes) take_cursor(subscriber, payload, payload_length);
            look_for_ready(subscriber, payload, payload_length);
            take_messages(subscriber, payload, payload_length, at);
        }
        used += whole;
    }
    return used;
}

static int take_events(struct subscriber *subscriber, const char *bytes, int length, uint64_t at) {
    const char *last_line_end = memrchr(bytes, '\n', length);
    if (!last_line_end) return 0;
    int used = last_line_end + 1 - bytes;
    look_for_ready(subscriber, bytes, used);
    take_messages(subscriber, bytes, used, at);
    return used;
}

static int take_handshake(struct subscriber *subscriber, char *bytes, int length) {
    struct answer answer;
    char *end = memmem(bytes, length, "\r\n\r\n", 4);
    if (!end) return 0;
    http_answer(bytes, length, &answer);
    bool good = options.transport == SSE ? answer.status == 200
                                         : answer.status == 101 && strstr(bytes, WEBSOCKET_ACCEPT);
    if (!good) {
        if (!failed) fprintf(stderr, "a handshake failed: %.*s\n", length, bytes);
        return -1;
    }
    subscriber->stream.stage = OPEN;
    if (*options.say) say(subscriber, NULL, 0);
    if (!*options.ready) go_live(subscriber); /* the answer is all this server says */
    return end + 4 - bytes;
}

static int take_answer(struct subscriber *subscriber, const char *bytes, int length, uint64_t at) {
    struct answer answer;
    if (!http_answer(bytes, length, &answer)) return 0;
    tally.answers++;
    bool told = *options.cursor_header
                    ? copy_value(subscriber->cursor, options.cursor_header, bytes,
                                 answer.body - bytes)
                    : take_cursor(subscriber, answer.body, answer.body_length);
    if (answer.status != 200 || !told) {
        if (tally.bad_answers++ == 0) fprintf(stderr, "a bad answer: %.*s\n", length, bytes);
        leave(subscriber); /* and not ask again: a server that refuses is not to be hammered */
        return -1;
    }
    if (!*subscriber->connection && strstr(options.path, "{connection}"))
        copy_value(subscriber->connection, "\"connection\":", answer.body, answer.body_length);
    take_messages(subscriber, answer.body, answer.body_length, at);
    go_live(subscriber);
    if (answer.closes) {
        stream_close(&subscriber->stream);
        open_subscription(subscriber);
    } else {
        send_request(subscriber);
    }
    return answer.whole_length;
}

int subscriber_input(struct stream *stream, char *bytes, int length, uint64_t at) {
    struct subscriber *subscriber = (struct subscriber *)stream;
    int head = 0;
    if (stream->stage == HANDSHAKE) {
        head = take_handshake(subscriber, bytes, length);
        if (head <= 0) return head;
    }
    bytes += head;
    length -= head;
    int used = options.transport == WEBSOCKET ? take_frames(subscriber, bytes, length, at)
               : options.transport == SSE     ? take_events(subscriber, bytes, length, at)
                                              : take_answer(subscriber, bytes, length, at);
    return used < 0 ? -1 : head + used;
}
