/* The load client's parts and what they share.

   load.c        options, the commands that come on standard input, the measured phases
   stream.c      one TCP connection: open, send, read, close; reading an HTTP answer and JSON
   websocket.c   WebSocket frames
   channels.c    which subscriber has which channel
   subscriber.c  WebSocket, SSE and long-poll subscribers: what each has received, and when
   publisher.c   HTTP publishers

   Subscribers and publishers live in one thread of one process, so that a message's journey is
   measured with one clock. */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stdint.h>

enum transport { WEBSOCKET, SSE, LONGPOLL };

/* In paths, headers, bodies and frames these stand for something else each time: {channel} (of a
   subscriber all of its own, with commas), {cursor} and {connection} (as it was told last),
   {token}, {request} (its number), {message}. */
struct options {
    enum transport transport;
    int port, subscribers, publishers;
    int channels;                /* messages go to them in turn */
    const char *channel;         /* how their names begin; the rest is their number */
    const char *path;            /* of a subscription */
    const char *headers;         /* of a subscription: whole lines, each with its CR LF */
    const char *say;             /* lines "WHEN\tTEXT": to send when a frame begins with WHEN */
    const char *ready;           /* in the stream, says: subscribed; "": the handshake does */
    const char *cursor_header;   /* of a long poll's answer, if its cursor is not in its JSON */
    bool first_waits;            /* a long poll without a cursor is not answered at once */
    const char *tokens;          /* a file with a line for each subscriber */
    const char *publish_path;
    const char *publish_headers; /* as headers */
    const char *publish_body;
    int message_bytes;
};

/* What one {name} stands for. */
struct value {
    const char *name, *text;
};

/* What has happened since the phase began. */
struct tally {
    uint64_t began, last_delivery;                             /* ns */
    uint64_t counts_from;                                      /* ns; what is older is a stray */
    uint64_t published, confirmed, refused;                    /* publish requests */
    uint64_t expected, delivered, reordered, repeated, strays; /* messages at subscribers */
    uint64_t misdelivered;                                     /* of a channel not asked for */
    uint64_t frames;                                           /* of any kind, at a WebSocket */
    uint64_t answers, bad_answers;                             /* of a long poll or a poll */
    uint64_t closed;                                           /* by the server */
};

enum role { SUBSCRIBER, PUBLISHER };
enum stage { CLOSED, HANDSHAKE, OPEN };

/* One connection, and what of its input could not be understood yet. */
struct stream {
    int fd;
    enum role role;
    enum stage stage;
    char *rest;
    int rest_length, rest_room;
};

struct answer {
    int status;
    const char *body;
    int body_length, whole_length;
    bool closes;
};

extern struct options options;
extern struct tally tally;
extern bool measuring;

uint64_t now(void); /* ns, CLOCK_MONOTONIC */
_Noreturn void give_up(const char *why);
int fill(char *out, int room, const char *pattern, const struct value *values, int count);
void record_delay(uint64_t ns);

void streams_start(void);
bool streams_wait(int milliseconds); /* true: a command waits on standard input */
bool stream_open(struct stream *stream);
void stream_close(struct stream *stream);
void stream_send(struct stream *stream, const char *bytes, int length);
enum { VALUE_ROOM = 200 }; /* bytes of a cursor and the like */

bool http_answer(const char *bytes, int length, struct answer *answer);
bool copy_value(char *out, const char *key, const char *json, int length);

enum { TEXT = 1, CLOSE = 8, PING = 9, PONG = 10 }; /* RFC 6455 section 5.2: opcodes */
enum { LONGEST_FRAME = 125 };                      /* that is sent, in bytes of payload */

void send_frame(struct stream *stream, int opcode, const char *payload, int length);
int64_t frame_length(const unsigned char *bytes, int length, int *payload_at);

bool has_channel(int subscriber, int channel);
int channel_receivers(int channel); /* how many subscribers have it */
void write_channels(int subscriber, char *out, int room);

/* Each takes what it understands and returns how many bytes that was; -1 ends the connection. */
int subscriber_input(struct stream *stream, char *bytes, int length, uint64_t at);
int publisher_input(struct stream *stream, char *bytes, int length);
void subscriber_closed(struct stream *stream);
void publisher_closed(struct stream *stream);

void subscribers_start(void);
void subscriber_connect(int index);
void subscribers_leave(void); /* all of them, without a word */
void subscribers_stop(void);
int subscribers_live(void);
int subscribers_failed(void);

void publishers_start(void);
bool publish(void); /* false: every publisher waits for an answer */
int64_t messages_written(void);
bool publishers_wait(void);
void publishers_stop(void);

#endif
