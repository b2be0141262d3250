package zerocloud;

import com.couchbase.lite.Manager;
import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/** What the tests share: addresses, people, instances. The addresses come from ../run.mjs. */
final class World {
    static final String PUBLIC_URL = setting("ZEROCLOUD_PUBLIC_URL");
    static final String PASSWORD = setting("ZEROCLOUD_TEST_PASSWORD");
    static final String FOLDER = setting("ZEROCLOUD_TEST_FOLDER");
    static final String WEB_URL = setting("ZEROCLOUD_WEB_URL");
    private static final String TOKEN = setting("ZEROCLOUD_TEST_TOKEN");
    private static final String ADMIN_URL = setting("ZEROCLOUD_ADMIN_URL");
    private static final String AWS = setting("ZEROCLOUD_TEST_AWS");
    private static final long PATIENCE_MS = 20_000;
    private static final HttpClient HTTP = HttpClient.newHttpClient();

    private World() {}

    /** Something to wait for; null or false is not yet. */
    interface Check<T> {
        T look() throws Exception;
    }

    static <T> T until(String what, Check<T> check) throws Exception {
        long deadline = System.currentTimeMillis() + PATIENCE_MS;
        while (true) {
            T found = check.look();
            if (found != null && !Boolean.FALSE.equals(found)) {
                return found;
            }
            if (System.currentTimeMillis() > deadline) {
                throw new AssertionError("waited in vain: " + what);
            }
            Thread.sleep(50);
        }
    }

    /** A document as the service sees it, or null. */
    static Map<String, Object> stored(String id) throws Exception {
        return stored("zerocloud", id);
    }

    static Map<String, Object> stored(String database, String id) throws Exception {
        HttpResponse<String> answer = send("GET", ADMIN_URL + "/" + database + "/" + escaped(id), null);
        return answer.statusCode() == 200 ? map(answer.body()) : null;
    }

    /** Writes a document on the public port as a person, from no device of theirs. */
    static void put(String database, String user, Map<String, Object> body) throws Exception {
        HttpResponse<String> answer =
            send("PUT", PUBLIC_URL + "/" + database + "/" + escaped((String) body.get("_id")), body, user);
        if (answer.statusCode() != 201) {
            throw new AssertionError(answer.statusCode() + " " + answer.body());
        }
    }

    /** Launches an instance with an owner tag; gives the id of its lease once the owner has been told of it. */
    static String launch(String owner) throws Exception {
        Map<String, Object> spec = Map.of("tags", Map.of("owner", owner + "@bigdb.example"));
        Map<String, Object> body = Map.of("account", "111122223333", "region", "us-east-1", "spec", spec);
        Map<String, Object> answer = map(send("POST", AWS + "/_double/instances", body).body());
        String id = "lease::111122223333::us-east-1::" + ((List<?>) answer.get("ids")).get(0);
        until(id + " is " + owner + "'s and notified", () -> {
            Map<String, Object> lease = stored(id);
            return lease != null && owner.equals(lease.get("owner")) && lease.get("notified") != null;
        });
        return id;
    }

    /** A person's wish about a lease, as an app writes it. */
    static Map<String, Object> wish(String user, String lease, String action, Map<String, Object> more) {
        Map<String, Object> wish = new HashMap<>(Map.of(
            "_id", "request::bigdb::" + user + "::" + UUID.randomUUID(),
            "type", "request", "schema", 1, "account", "bigdb", "user", user, "updated_by", "bigdb." + user,
            "lease", lease, "action", action, "at", inMinutes(0)));
        wish.putAll(more);
        return wish;
    }

    /** A time as documents have it. */
    static String inMinutes(long minutes) {
        return Instant.now().plus(minutes, ChronoUnit.MINUTES).truncatedTo(ChronoUnit.SECONDS).toString();
    }

    /** Signs a person in; gives the cookie's value. */
    static String signIn(String user) throws Exception {
        Map<String, Object> login = Map.of("name", "bigdb." + user, "password", PASSWORD);
        HttpResponse<String> answer = send("POST", PUBLIC_URL + "/zerocloud/_session", login);
        String cookie = answer.headers().firstValue("set-cookie").orElseThrow();
        return cookie.substring(cookie.indexOf('=') + 1, cookie.indexOf(';'));
    }

    /** A session at the gateway as an app gets it, by Lin's token; gives the cookie's value. */
    static String syncSession() throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(WEB_URL + "/api/v1/sync-session"))
            .header("Authorization", "Bearer " + TOKEN).POST(BodyPublishers.noBody()).build();
        Map<String, Object> made = map(HTTP.send(request, BodyHandlers.ofString()).body());
        if (!(WEB_URL + "/sync/zerocloud").equals(made.get("url"))) {
            throw new AssertionError(made.toString());
        }
        return (String) made.get("session_id");
    }

    private static HttpResponse<String> send(String method, String url, Object body, String... user)
            throws IOException, InterruptedException {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url)).header("Content-Type", "application/json");
        for (String name : user) {
            byte[] login = ("bigdb." + name + ":" + PASSWORD).getBytes(StandardCharsets.UTF_8);
            request.header("Authorization", "Basic " + Base64.getEncoder().encodeToString(login));
        }
        var content = body == null
            ? BodyPublishers.noBody()
            : BodyPublishers.ofString(Manager.getObjectMapper().writeValueAsString(body));
        return HTTP.send(request.method(method, content).build(), BodyHandlers.ofString());
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> map(String json) throws IOException {
        return Manager.getObjectMapper().readValue(json, Map.class);
    }

    private static String escaped(String id) {
        return URLEncoder.encode(id, StandardCharsets.UTF_8);
    }

    private static String setting(String name) {
        String value = System.getenv(name);
        if (value == null) {
            throw new IllegalStateException("these tests need a running zerocloud: node ../run.mjs couchbase-lite");
        }
        return value;
    }
}
