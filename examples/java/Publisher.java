// Publish from Java, with nothing but the JDK (17 or newer). Usage:
//
//     export PUSH_URL=https://push.example.com/push PUSH_KEY=… PUSH_SECRET=…
//     java Publisher.java user 42 '{"text":"hello"}'     to one person, on all their devices
//     java Publisher.java all '{"text":"hello"}'         to all who are known
//     java Publisher.java channel orders:7 '{"state":"shipped"}'
//     java Publisher.java online everyone                how many people are there
//     java Publisher.java token 42                       what a page or a Listener of theirs brings

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.util.Base64;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public class Publisher {
    private static final int TRIES = 5;
    private static final Pattern ONLINE = Pattern.compile("\"online\":(\\d+)");

    private final HttpClient http = HttpClient.newHttpClient();
    private final String url, key;

    public Publisher(String url, String key) {
        this.url = url;
        this.key = key;
    }

    /** What was {@code sendToUser}: every device of theirs hears it, whatever worker or machine it is on. */
    public String toUser(String user, String json) throws IOException, InterruptedException {
        return publish("\"user\":\"" + user + "\"", json);
    }

    /** What was {@code sendToAll}. */
    public String toAll(String json) throws IOException, InterruptedException {
        return toChannel("everyone", json);
    }

    public String toChannel(String channel, String json) throws IOException, InterruptedException {
        return publish("\"channel\":\"" + channel + "\"", json);
    }

    /** What was {@code onlineCount}: the people in a channel, over all workers and machines. */
    public int online(String channel) throws IOException, InterruptedException {
        Matcher found = ONLINE.matcher(ask("GET", "/channels/" + channel, "", ""));
        return found.find() ? Integer.parseInt(found.group(1)) : 0;
    }

    private String publish(String target, String json) throws IOException, InterruptedException {
        // The key makes it safe to send again what nobody has acknowledged: it is published once.
        return ask("POST", "/publish", "{" + target + ",\"data\":" + json + "}", UUID.randomUUID().toString());
    }

    private String ask(String method, String path, String body, String once) throws IOException, InterruptedException {
        HttpRequest request = HttpRequest.newBuilder(URI.create(url + path))
                .method(method, BodyPublishers.ofString(body))
                .header("Authorization", "Bearer " + key)
                .header("Content-Type", "application/json")
                .header("Idempotency-Key", once)
                .timeout(Duration.ofSeconds(10))
                .build();
        for (int tries = 1; ; tries++) {
            try {
                HttpResponse<String> answer = http.send(request, BodyHandlers.ofString());
                if (answer.statusCode() == 200) {
                    return answer.body();
                }
                boolean isOver = answer.statusCode() < 500 && answer.statusCode() != 429;
                if (isOver || tries == TRIES) {
                    throw new IllegalStateException(answer.statusCode() + " " + answer.body());
                }
            } catch (IOException notReached) {
                if (tries == TRIES) {
                    throw notReached;
                }
            }
            Thread.sleep((long) (500 * Math.pow(2, tries) * Math.random()));
        }
    }

    /** A token for one person, for an hour; give it to whoever your app has logged in as them. */
    public static String token(String user, String secret) throws GeneralSecurityException {
        long now = System.currentTimeMillis() / 1000;
        String claims = "{\"sub\":\"" + user + "\",\"iat\":" + now + ",\"exp\":" + (now + 3600) + "}";
        String signed = base64("{\"alg\":\"HS256\",\"typ\":\"JWT\"}") + "." + base64(claims);
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(secret.getBytes(StandardCharsets.UTF_8), "HmacSHA256"));
        byte[] signature = mac.doFinal(signed.getBytes(StandardCharsets.UTF_8));
        return signed + "." + Base64.getUrlEncoder().withoutPadding().encodeToString(signature);
    }

    private static String base64(String text) {
        return Base64.getUrlEncoder().withoutPadding().encodeToString(text.getBytes(StandardCharsets.UTF_8));
    }

    public static void main(String[] arguments) throws Exception {
        Publisher push = new Publisher(System.getenv("PUSH_URL"), System.getenv("PUSH_KEY"));
        System.out.println(switch (arguments[0]) {
            case "user" -> push.toUser(arguments[1], arguments[2]);
            case "all" -> push.toAll(arguments[1]);
            case "channel" -> push.toChannel(arguments[1], arguments[2]);
            case "online" -> push.online(arguments[1]);
            case "token" -> token(arguments[1], System.getenv("PUSH_SECRET"));
            default -> throw new IllegalArgumentException(arguments[0]);
        });
    }
}
