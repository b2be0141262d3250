package zerocloud;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static zerocloud.World.inMinutes;
import static zerocloud.World.launch;
import static zerocloud.World.stored;
import static zerocloud.World.until;
import static zerocloud.World.wish;

import com.couchbase.lite.replicator.RemoteRequestResponseException;
import com.couchbase.lite.replicator.Replication;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** A device at the pages' own address, below `/sync/`, with the session that the REST API made for it. */
class SyncTest {
    @Test
    void aDevicePullsAndPushesThroughThePagesAddress() throws Exception {
        String mine = launch("lin");
        String theirs = launch("max");
        try (Device phone = Device.throughPages("lin", World.syncSession())) {
            assertNull(phone.pull().getLastError());
            assertEquals("lin", phone.get(mine).get("owner"));
            assertNull(phone.get(theirs));
            Map<String, Object> renewal = wish("lin", mine, "renew", Map.of("until", inMinutes(90)));
            phone.put(renewal);
            assertNull(phone.push().getLastError());
            String id = (String) renewal.get("_id");
            until("the answer", () -> stored(id).get("answer") != null);
            assertNull(phone.pull().getLastError());
            assertEquals("done", ((Map<?, ?>) phone.get(id).get("answer")).get("outcome"));
            assertEquals(stored(mine).get("expires_at"), phone.get(mine).get("expires_at"));
        }
    }

    @Test
    void aDeviceStaysInSyncThroughThePagesAddress() throws Exception {
        try (Device phone = Device.throughPages("lin", World.syncSession())) {
            phone.keepInSync();
            String later = launch("lin");
            until("the lease on the phone", () -> phone.get(later) != null);
            Map<String, Object> renewal = wish("lin", later, "renew", Map.of("until", inMinutes(80)));
            phone.put(renewal);
            until("the answer on the phone", () -> phone.get((String) renewal.get("_id")).get("answer") != null);
        }
    }

    @Test
    void anEditThatTheRulesRefuseDoesNotPassThroughThePagesAddressEither() throws Exception {
        String mine = launch("lin");
        try (Device phone = Device.throughPages("lin", World.syncSession())) {
            phone.pull();
            phone.edit(mine, Map.of("owner", "max", "updated_by", "bigdb.lin"));
            // This client only logs a refusal; what it sends beside it arrives, and proves that it was sent.
            Map<String, Object> renewal = wish("lin", mine, "renew", Map.of("until", inMinutes(70)));
            phone.put(renewal);
            phone.push();
            until("the answer", () -> {
                Map<String, Object> arrived = stored((String) renewal.get("_id"));
                return arrived != null && arrived.get("answer") != null;
            });
            assertEquals("lin", stored(mine).get("owner"));
        }
    }

    @Test
    void withoutASessionNothingComesThroughThePagesAddress() throws Exception {
        launch("lin");
        try (Device phone = Device.throughPages("lin", "a-guess")) {
            Replication pull = phone.pull();
            assertEquals(401, ((RemoteRequestResponseException) pull.getLastError()).getCode());
            assertTrue(phone.ids().isEmpty());
        }
    }
}
