// A client on nothing but java.net.http. Usage: java Jdk.java websocket|longpoll|sse URL CHANNEL

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.WebSocket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Iterator;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

public class Jdk {
    // The JDK has no JSON. The messages of the tests hold numbers, which a pattern finds.
    static final Pattern DATA = Pattern.compile("\"data\":(\\d+)");
    static final Pattern ID = Pattern.compile("\"id\":\"([^\"]+)\"");
    static final Pattern CURSOR = Pattern.compile("\"cursor\":\"([^\"]+)\"");
    static final Pattern HEARTBEAT = Pattern.compile("\"heartbeat\":([0-9.]+)");
    static final Pattern REF = Pattern.compile("\"ref\":\"([^\"]+)\"");

    // As it comes it offers HTTP/2 with each request (Upgrade: h2c), which a server may leave unanswered.
    static final HttpClient HTTP = HttpClient.newHttpClient();
    static String cursor = "";
    static volatile boolean heard;
    static volatile double heartbeat = 25; // seconds, until the server says

    public static void main(String[] arguments) throws InterruptedException {
        String url = arguments[1] + "/push/", query = "?channels=" + arguments[2] + "&cursor=";
        while (true) {
            try {
                switch (arguments[0]) {
                    case "websocket" -> listen(url.replaceFirst("http", "ws") + "ws" + query + cursor);
                    case "longpoll" -> longpoll(url + "longpoll" + query + cursor);
                    default -> sse(url + "sse" + query + cursor);
                }
            } catch (IOException | CompletionException | ExecutionException ended) {
                Thread.sleep(100);
            }
        }
    }

    static void longpoll(String url) throws IOException, InterruptedException {
        HttpResponse<String> answer = HTTP.send(request(url), BodyHandlers.ofString());
        if (answer.statusCode() != 200) {
            throw new IOException("status " + answer.statusCode());
        }
        Matcher data = DATA.matcher(answer.body());
        while (data.find()) {
            say(data.group(1));
        }
        cursor = found(CURSOR, answer.body());
        sayLive(answer.body());
    }

    static void sse(String url) throws IOException, InterruptedException {
        HttpResponse<Stream<String>> answer = HTTP.send(request(url), BodyHandlers.ofLines());
        if (answer.statusCode() != 200) {
            throw new IOException("status " + answer.statusCode());
        }
        String event = "", id = "", data = "";
        try (Stream<String> lines = answer.body()) {
            for (Iterator<String> each = lines.iterator(); each.hasNext(); ) {
                String line = each.next();
                if (line.startsWith("event: ")) {
                    event = line.substring(7);
                } else if (line.startsWith("id: ")) {
                    id = line.substring(4);
                } else if (line.startsWith("data: ")) {
                    data = line.substring(6);
                } else if (line.isEmpty()) { // an event counts when it is whole, and so does its id
                    if (event.isEmpty()) {
                        say(found(DATA, data));
                    } else if (event.equals("live")) {
                        sayLive(data);
                    }
                    cursor = id.isEmpty() ? cursor : id;
                    event = id = data = "";
                }
            }
        } catch (java.io.UncheckedIOException cut) {
            throw cut.getCause();
        }
    }

    static void listen(String url)
            throws IOException, InterruptedException, ExecutionException {
        CompletableFuture<Void> ended = new CompletableFuture<>();
        WebSocket socket = HTTP.newWebSocketBuilder().buildAsync(URI.create(url), new Listener(ended)).join();
        // A ping of the protocol's own, and one text in two frames.
        socket.sendPing(ByteBuffer.wrap("are you there".getBytes(StandardCharsets.UTF_8))).join();
        socket.sendText("{\"op\":\"ping\",\"ref\":", false).join();
        socket.sendText("\"in fragments\"}", true).join();
        // A silence of 1.5 heartbeats is the end, told or not: JDK 17 forgets at times to tell that a line was cut.
        do {
            heard = false;
            try {
                ended.get((long) (1500 * heartbeat), TimeUnit.MILLISECONDS);
            } catch (TimeoutException quiet) {
                continue;
            }
        } while (heard);
        socket.abort();
        throw new IOException("silent");
    }

    static class Listener implements WebSocket.Listener {
        final CompletableFuture<Void> ended;
        final StringBuilder text = new StringBuilder();

        Listener(CompletableFuture<Void> ended) {
            this.ended = ended;
        }

        @Override
        public CompletionStage<?> onText(WebSocket socket, CharSequence part, boolean last) {
            text.append(part);
            if (last) {
                receive(text.toString());
                text.setLength(0);
            }
            socket.request(1);
            return null;
        }

        @Override
        public CompletionStage<?> onPong(WebSocket socket, ByteBuffer data) {
            say("pong " + StandardCharsets.UTF_8.decode(data));
            socket.request(1);
            return null;
        }

        @Override
        public CompletionStage<?> onClose(WebSocket socket, int code, String reason) {
            ended.completeExceptionally(new IOException("closed: " + code));
            return null;
        }

        @Override
        public void onError(WebSocket socket, Throwable error) {
            ended.completeExceptionally(error);
        }
    }

    static void receive(String frame) {
        heard = true;
        if (!frame.contains("\"type\":")) {
            cursor = found(ID, frame);
            say(found(DATA, frame));
            return;
        }
        String moved = found(CURSOR, frame);
        cursor = moved == null ? cursor : moved;
        if (frame.contains("\"type\":\"welcome\"")) {
            heartbeat = Double.parseDouble(found(HEARTBEAT, frame));
        } else if (frame.contains("\"type\":\"live\"")) {
            sayLive(frame);
        } else if (frame.contains("\"type\":\"reply\"")) {
            say(found(REF, frame));
        }
    }

    static HttpRequest request(String url) {
        return HttpRequest.newBuilder(URI.create(url)).build();
    }

    static String found(Pattern pattern, String text) {
        Matcher matcher = pattern.matcher(text);
        return matcher.find() ? matcher.group(1) : null;
    }

    static void sayLive(String text) {
        say(text.contains("\"recovered\":true") ? "live" : "lost");
    }

    static void say(String line) {
        System.out.println(line);
    }
}
