package zerocloud;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static zerocloud.World.inMinutes;
import static zerocloud.World.launch;
import static zerocloud.World.stored;
import static zerocloud.World.until;
import static zerocloud.World.wish;

import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** A lease on a device: renewed, renewed offline, handed over. */
class LeasesTest {
    @Test
    void aRenewalWishedForOnTheDeviceIsAnsweredThereWithTheNewEndOnTheLease() throws Exception {
        String id = launch("lin");
        try (Device phone = new Device("lin")) {
            phone.keepInSync();
            until("the lease arrives", () -> phone.get(id));
            String end = inMinutes(60);
            Map<String, Object> renewal = wish("lin", id, "renew", Map.of("until", end));
            phone.put(renewal);
            assertDone(phone, renewal, end);
            until("the new end", () -> end.equals(phone.get(id).get("expires_at")));
        }
    }

    @Test
    void anEditOfTheEndOnTheDeviceRenewsToo() throws Exception {
        String id = launch("lin");
        try (Device phone = new Device("lin")) {
            phone.pull();
            String end = inMinutes(50);
            phone.edit(id, Map.of("expires_at", end, "updated_by", "bigdb.lin"));
            phone.push();
            until("the end is granted", () -> end.equals(stored(id).get("granted_until")));
        }
    }

    @Test
    void aRenewalMadeOfflineIsGrantedAfterReconnectingThoughTheServiceWroteToTheLeaseMeanwhile() throws Exception {
        String id = launch("lin");
        try (Device phone = new Device("lin")) {
            phone.keepInSync();
            Object before = until("the lease arrives", () -> phone.get(id)).get("_rev");

            phone.goOffline();
            String end = inMinutes(90);
            Map<String, Object> renewal = wish("lin", id, "renew", Map.of("until", end));
            phone.put(renewal);
            // An admin renews it in between: the service writes to the lease.
            String between = inMinutes(45);
            World.put("zerocloud", "ada", wish("ada", id, "renew", Map.of("until", between)));
            until("the service writes", () -> between.equals(stored(id).get("expires_at")));
            assertEquals(before, phone.get(id).get("_rev"));
            assertNull(stored((String) renewal.get("_id")));

            phone.goOnline();
            assertDone(phone, renewal, end);
            until("the new end", () -> end.equals(phone.get(id).get("expires_at")));
            assertEquals(1, phone.database.getDocument(id).getConflictingRevisions().size());
        }
    }

    @Test
    void aLeaseThatChangesHandsLeavesOneDeviceAndReachesTheOther() throws Exception {
        String id = launch("lin");
        try (Device lins = new Device("lin"); Device maxs = new Device("max")) {
            lins.keepInSync();
            maxs.keepInSync();
            until("lin has it", () -> lins.get(id));
            lins.put(wish("lin", id, "hand_over", Map.of("to", "max")));
            until("it is offered", () -> "max".equals(lins.get(id).get("offered_to")));
            assertNull(maxs.get(id));
            maxs.put(wish("max", id, "accept", Map.of()));
            until("max has it", () -> maxs.get(id) != null && "max".equals(maxs.get(id).get("owner")));
            until("lin is told", () -> Boolean.TRUE.equals(lins.get(id).get("_removed")));
            assertNull(lins.get(id).get("owner"));
        }
    }

    @Test
    void whatAnAdminDeletesOnOneDeviceVanishesFromTheOthers() throws Exception {
        String id = "policy::bigdb::user::lin";
        Map<String, Object> policy = new HashMap<>(Map.of(
            "_id", id, "type", "user_policy", "schema", 1, "account", "bigdb", "user", "lin", "updated_by", "bigdb.ada",
            "policy", Map.of("max_instances", 50)));
        try (Device tablet = new Device("ada"); Device phone = new Device("lin")) {
            tablet.put(policy);
            tablet.push();
            phone.pull();
            assertEquals(Map.of("max_instances", 50), phone.get(id).get("policy"));
            tablet.database.getDocument(id).delete();
            tablet.push();
            assertNull(stored(id));
            phone.pull();
            assertTrue(phone.database.getDocument(id).isDeleted());
        }
    }

    private static void assertDone(Device phone, Map<String, Object> renewal, String end) throws Exception {
        Object answer = until("an answer", () -> phone.get((String) renewal.get("_id")).get("answer"));
        Map<?, ?> said = (Map<?, ?>) answer;
        assertEquals("done", said.get("outcome"), said.toString());
        assertEquals(end, said.get("until"));
    }
}
