// Listen from Java, on a WebSocket, with nothing but the JDK (17 or newer). Usage:
//
//     PUSH_URL=https://push.example.com/push PUSH_TOKEN=… java Listener.java user:42,everyone
//
// It prints each message, once and in order, over restarts and cut lines.

import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class Listener implements WebSocket.Listener {
    // Take your JSON library. The JDK has none, and these are found without: what is ours stands before the data.
    private static final Pattern ID = Pattern.compile("^\\{\"id\":\"([^\"]+)\"");
    private static final Pattern CURSOR = Pattern.compile("\"cursor\":\"([^\"]+)\"");
    private static final Pattern HEARTBEAT = Pattern.compile("\"heartbeat\":([0-9.]+)");

    private static final HttpClient HTTP = HttpClient.newHttpClient();

    private final String url, channels, token;
    private final Consumer<String> handler;
    private final StringBuilder text = new StringBuilder();
    private CompletableFuture<Integer> ended; // with the code by which it was closed
    private volatile boolean heard;
    private volatile double heartbeat = 25; // seconds, until the server says
    private volatile String cursor = ""; // "I have everything up to here"

    public Listener(String url, String channels, String token, Consumer<String> handler) {
        this.url = url;
        this.channels = channels;
        this.token = token;
        this.handler = handler;
    }

    /** Listen until the server says that this token may not; come back after everything else. */
    public void run() throws InterruptedException {
        while (true) {
            int code = listen();
            if (code == 1008 || code == 4001) { // may not; the token has expired
                return;
            }
            Thread.sleep((long) (1000 + 4000 * Math.random())); // after a restart everyone comes back
        }
    }

    private int listen() throws InterruptedException {
        ended = new CompletableFuture<>();
        text.setLength(0);
        String query = "/ws?channels=" + encoded(channels) + "&cursor=" + encoded(cursor);
        WebSocket socket;
        try {
            socket = HTTP.newWebSocketBuilder().connectTimeout(Duration.ofSeconds(10))
                    .buildAsync(URI.create(url.replaceFirst("http", "ws") + query), this).join();
            if (token != null) { // in the first frame: URLs end up in logs
                socket.sendText("{\"op\":\"refresh\",\"token\":\"" + token + "\"}", true).join();
            }
        } catch (CompletionException notReached) {
            return 0;
        }
        do { // silence for one and a half heartbeats is an end that nobody told us of
            heard = false;
            try {
                return ended.get((long) (1500 * heartbeat), TimeUnit.MILLISECONDS);
            } catch (TimeoutException quiet) {
                continue;
            } catch (ExecutionException cut) {
                return 0;
            }
        } while (heard);
        socket.abort();
        return 0;
    }

    private void receive(String frame) {
        heard = true;
        Matcher id = ID.matcher(frame);
        if (id.find()) { // a message; what has a type is about the stream
            handler.accept(frame);
            cursor = id.group(1);
            return;
        }
        if (frame.contains("\"recovered\":false")) {
            System.err.println("something is gone for good: load your data anew: " + frame);
        }
        Matcher moved = CURSOR.matcher(frame), beat = HEARTBEAT.matcher(frame);
        cursor = moved.find() ? moved.group(1) : cursor;
        heartbeat = beat.find() ? Double.parseDouble(beat.group(1)) : heartbeat;
    }

    private static String encoded(String value) {
        return URLEncoder.encode(value, StandardCharsets.UTF_8);
    }

    @Override
    public CompletionStage<?> onText(WebSocket socket, CharSequence part, boolean isLast) {
        text.append(part);
        if (isLast) {
            receive(text.toString());
            text.setLength(0);
        }
        socket.request(1);
        return null;
    }

    @Override
    public CompletionStage<?> onClose(WebSocket socket, int code, String reason) {
        ended.complete(code);
        return null;
    }

    @Override
    public void onError(WebSocket socket, Throwable error) {
        ended.completeExceptionally(error);
    }

    public static void main(String[] arguments) throws InterruptedException {
        String url = System.getenv("PUSH_URL"), token = System.getenv("PUSH_TOKEN");
        new Listener(url, arguments[0], token, System.out::println).run();
    }
}
