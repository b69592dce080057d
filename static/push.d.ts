/**
 * Types of push.js for editors and TypeScript: `/// <reference path="push.d.ts" />`.
 *
 * The messages' own fields are described in docs/protocol.md, the client's behaviour in docs/client.md.
 */

declare namespace Push {
  type Transport = 'websocket' | 'sse' | 'longpoll' | 'poll';

  interface Options {
    /** Where the server is: a path, or a URL of another origin. Default: '/push' */
    url?: string;
    /** Names of channels, also with commas in one; without any, the client waits for subscribe(). */
    channels?: string | string[];
    /** Which transports to use, best first. Default: all four. */
    transports?: Transport[];
    /** One transport alone. */
    transport?: Transport;
    /** Go on from here; without it: from where the last page was, else from now. */
    cursor?: string | null;
    /** Without a cursor: also the last N messages of each channel. */
    history?: number;
    /** A token, or what gets one: asked again before it expires and when it is refused. */
    token?: string | ((done: (token: string) => void) => string | PromiseLike<string> | void);
    /** Send cookies to another origin. */
    withCredentials?: boolean;
    /** Tell who comes and goes. */
    presence?: boolean;
    /** Go on over page loads. Default: yes, but not with `cursor` or `history`, nor in a frame. */
    resume?: boolean;
    /** false: a line of this tab's own. A name: share with tabs that say the same. */
    share?: boolean | string;
    /** The longest wait between polls, in ms; without it the server's advice decides. */
    interval?: number | null;
    /** Print each step to the console. */
    debug?: boolean;
  }

  interface Message<Data = any> {
    id: string;
    /** The id of the message before this one in its channel. */
    prev: string | null;
    channel: string;
    /** The publisher's name for it. */
    event: string;
    /** Seconds since 1970. */
    time: number;
    data: Data;
    cursor?: string;
  }

  interface Loss {
    channel: string;
    after: string;
    before: string | null;
    /** 'gap': this client's own finding, a message that is missing in the log as well. */
    reason: 'expired' | 'epoch' | 'limit' | 'gap';
  }

  /** A user, however many tabs and devices they have, or a connection without one. */
  interface Member {
    user?: string;
    anonymous?: string;
    /** What the user's token says of them. */
    member?: any;
  }

  interface Presence {
    channel: string;
    version: string;
    /** How many there are; `members` may have fewer, where there are more than 100. */
    count: number;
    /** Who is there now. */
    members: Member[];
    /** What was told just now. */
    changes: (Member & { event: 'join' | 'leave' | 'occupied' | 'vacated' })[];
  }

  interface Failure {
    detail?: string;
    title?: string;
    field?: string;
    /** HTTP status, or 0 where there was no answer. */
    status?: number;
    /** WebSocket close code. */
    code?: number;
    transport?: Transport;
    /** ms until the next try. */
    wait?: number;
    /** ms for which the server asked. */
    after?: number;
  }

  /** One step, as `debug` events and inspect().log tell it. */
  interface Step {
    /** ms since 1970. */
    at: number;
    what: string;
    transport?: Transport | null;
    detail?: string | number | null;
    /** Characters. */
    size?: number;
  }

  interface Events {
    open: { transport: Transport };
    message: Message;
    history: { channel: string; messages: Message[] };
    recovered: { cursor: string };
    lost: Loss[];
    presence: Presence;
    /** The new readyState. */
    state: 0 | 1 | 2 | 3;
    error: Failure;
    /** For good: after a failure the client connects again by itself. */
    close: { cursor: string | null };
    debug: Step;
  }

  interface Stats {
    requests: number;
    /** Answers without a message. */
    empty: number;
    messages: number;
    duplicates: number;
    bytes: number;
    reconnects: number;
  }

  interface Inspection {
    version: string;
    jquery: string | null;
    readyState: 0 | 1 | 2 | 3;
    transport: Transport | null;
    /** Who has the line: this tab alone, this tab for others, or another tab for it. */
    role: 'alone' | 'leader' | 'follower' | null;
    channels: string[];
    cursor: string | null;
    stats: Stats;
    /** Each transport, its last failure, and for how many ms it is not tried again. */
    ladder: { transport: Transport; failed: string | null; rests: number }[];
    online: boolean;
    visible: string;
    /** The last 50 steps. */
    log: string[];
  }

  interface PublishOptions {
    event?: string;
    ttl?: number;
    retain?: boolean;
    delay?: number;
    at?: number;
    idempotency_key?: string;
  }

  interface Client {
    readonly readyState: 0 | 1 | 2 | 3;
    readonly transport: Transport | null;
    readonly cursor: string | null;
    readonly channels: string[];
    /** With `presence`: channel -> who is there. */
    readonly members: { [channel: string]: Member[] };
    readonly options: Options;
    readonly stats: Stats;
    readonly CONNECTING: 0;
    readonly OPEN: 1;
    readonly CLOSING: 2;
    readonly CLOSED: 3;
    on<Name extends keyof Events>(name: Name, handler: (this: Client, value: Events[Name]) => void): this;
    on(name: `event:${string}`, handler: (this: Client, message: Message) => void): this;
    /** Without a handler: all of them. */
    off(name: keyof Events | `event:${string}`, handler?: (value: any) => void): this;
    subscribe(channels: string | string[]): this;
    unsubscribe(channels: string | string[]): this;
    /** Where the page has neither promises nor jQuery: undefined. */
    publish(channel: string, data: unknown, options?: PublishOptions): PromiseLike<{ id?: string; scheduled?: string }>;
    close(): this;
    inspect(): Inspection;
  }

  const VERSION: string;
  const STATES: readonly ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'];
  function connect(options?: Options): Client;
}

interface JQueryStatic {
  push: { (options?: Push.Options): Push.Client; STATES: typeof Push.STATES };
}
