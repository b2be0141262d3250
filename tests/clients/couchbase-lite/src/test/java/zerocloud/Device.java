package zerocloud;

import com.couchbase.lite.CouchbaseLiteException;
import com.couchbase.lite.Database;
import com.couchbase.lite.Document;
import com.couchbase.lite.JavaContext;
import com.couchbase.lite.Manager;
import com.couchbase.lite.QueryRow;
import com.couchbase.lite.auth.Authenticator;
import com.couchbase.lite.auth.AuthenticatorFactory;
import com.couchbase.lite.replicator.Replication;
import com.couchbase.lite.replicator.Replication.ReplicationStatus;
import java.io.File;
import java.io.IOException;
import java.net.URL;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** A phone with Couchbase Lite: one database on disk, and its replications with the gateway as one person. */
final class Device implements AutoCloseable {
    private static final long PATIENCE_S = 30;
    private final String user;
    private final String remote;
    /** The gateway's cookie for the way through the pages' address, or null for a password at the gateway itself. */
    private final String session;
    private final Manager manager;
    private final List<Replication> live = new ArrayList<>();
    final Database database;

    Device(String user) throws IOException, CouchbaseLiteException {
        this(user, "zerocloud");
    }

    Device(String user, String remote) throws IOException, CouchbaseLiteException {
        this(user, World.PUBLIC_URL + "/" + remote, null);
    }

    /** Below `/sync/` at the pages' address, with that session. */
    static Device throughPages(String user, String session) throws IOException, CouchbaseLiteException {
        return new Device(user, World.WEB_URL + "/sync/zerocloud", session);
    }

    private Device(String user, String remote, String session) throws IOException, CouchbaseLiteException {
        this.user = user;
        this.remote = remote;
        this.session = session;
        File folder = new File(World.FOLDER, UUID.randomUUID().toString());
        manager = new Manager(new JavaContext() {
            @Override
            public File getFilesDir() {
                return folder;
            }
        }, Manager.DEFAULT_OPTIONS);
        database = manager.getDatabase("phone");
    }

    @Override
    public void close() throws InterruptedException {
        for (Replication replication : live) {
            ended(replication, replication::stop);
        }
        manager.close();
    }

    Replication puller() throws IOException {
        return signedIn(database.createPullReplication(new URL(remote)));
    }

    Replication pusher() throws IOException {
        return signedIn(database.createPushReplication(new URL(remote)));
    }

    private Replication signedIn(Replication replication) {
        if (session != null) {
            replication.setCookie("SyncGatewaySession", session, "/sync/zerocloud", null, false, false);
            return replication;
        }
        Authenticator login = AuthenticatorFactory.createBasicAuthenticator("bigdb." + user, World.PASSWORD);
        replication.setAuthenticator(login);
        return replication;
    }

    Replication pull() throws Exception {
        return run(puller());
    }

    Replication push() throws Exception {
        return run(pusher());
    }

    /** Runs a replication to its end. */
    static Replication run(Replication replication) throws InterruptedException {
        return ended(replication, replication::start);
    }

    /** Syncs both ways until it is closed. */
    void keepInSync() throws IOException {
        for (Replication replication : List.of(puller(), pusher())) {
            replication.setContinuous(true);
            replication.start();
            live.add(replication);
        }
    }

    /** What an app does when the phone says that its network is gone. */
    void goOffline() throws Exception {
        for (Replication replication : live) {
            replication.goOffline();
            World.until("offline", () -> replication.getStatus() == ReplicationStatus.REPLICATION_OFFLINE);
        }
    }

    void goOnline() {
        live.forEach(Replication::goOnline);
    }

    private static Replication ended(Replication replication, Runnable act) throws InterruptedException {
        CountDownLatch stopped = new CountDownLatch(1);
        replication.addChangeListener(event -> {
            if (event.getSource().getStatus() == ReplicationStatus.REPLICATION_STOPPED) {
                stopped.countDown();
            }
        });
        act.run();
        if (!stopped.await(PATIENCE_S, TimeUnit.SECONDS)) {
            throw new AssertionError("a replication did not end: " + replication.getStatus());
        }
        return replication;
    }

    /** A document as it is here, or null; a deleted one is none. */
    Map<String, Object> get(String id) {
        Document document = database.getExistingDocument(id);
        return document == null || document.isDeleted() ? null : document.getProperties();
    }

    /** Makes a document whose `_id` is in the body. */
    void put(Map<String, Object> body) throws CouchbaseLiteException {
        database.getDocument((String) body.get("_id")).putProperties(body);
    }

    /** Edits what is here. */
    void edit(String id, Map<String, Object> changes) throws CouchbaseLiteException {
        Map<String, Object> body = new HashMap<>(database.getDocument(id).getProperties());
        body.putAll(changes);
        database.getDocument(id).putProperties(body);
    }

    /** The ids of what is here. */
    TreeSet<String> ids() throws CouchbaseLiteException {
        TreeSet<String> ids = new TreeSet<>();
        for (QueryRow row : database.createAllDocumentsQuery().run()) {
            ids.add(row.getDocumentId());
        }
        return ids;
    }
}
