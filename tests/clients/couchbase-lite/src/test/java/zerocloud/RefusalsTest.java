package zerocloud;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static zerocloud.World.inMinutes;
import static zerocloud.World.launch;
import static zerocloud.World.stored;
import static zerocloud.World.until;
import static zerocloud.World.wish;

import com.couchbase.lite.CouchbaseLiteException;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Edits that the gateway does not take. Couchbase Lite only logs them, so a test looks at what is stored. */
class RefusalsTest {
    private static final String LIN = "user::bigdb::lin";

    @Test
    void aRefusedEditChangesNothingAndHoldsUpNothingElse() throws Exception {
        String id = launch("lin");
        try (Device phone = new Device("lin"); Device fresh = new Device("lin")) {
            phone.pull();
            phone.edit(id, Map.of("owner", "max", "updated_by", "bigdb.lin"));
            Map<String, Object> renewal = wish("lin", id, "renew", Map.of("until", inMinutes(60)));
            phone.put(renewal);
            assertNull(phone.push().getLastError());
            until("the other document is answered", () -> {
                Map<String, Object> request = stored((String) renewal.get("_id"));
                return request != null && request.get("answer") != null;
            });
            assertEquals("lin", stored(id).get("owner"));
            // The device keeps what was refused until the app starts it anew from the server.
            assertEquals("max", phone.get(id).get("owner"));
            fresh.pull();
            assertEquals("lin", fresh.get(id).get("owner"));
        }
    }

    @Test
    void ofTwoEditsOfOneRevisionTheSecondConflictsAndGoesThroughWhenMadeOnTopOfTheFirst() throws Exception {
        String id = launch("lin");
        try (Device phone = new Device("lin"); Device laptop = new Device("lin"); Device fresh = new Device("lin")) {
            phone.pull();
            laptop.pull();
            setTimeZone(phone, "America/Lima");
            phone.push();
            setTimeZone(laptop, "Africa/Lagos");
            Map<String, Object> renewal = wish("lin", id, "renew", Map.of("until", inMinutes(60)));
            laptop.put(renewal);
            assertNull(laptop.push().getLastError());
            assertEquals("America/Lima", stored(LIN).get("time_zone"));
            assertNotNull(stored((String) renewal.get("_id")), "the other document of the batch arrived");

            laptop.database.delete();
            fresh.pull();
            assertEquals("America/Lima", fresh.get(LIN).get("time_zone"));
            setTimeZone(fresh, "Africa/Lagos");
            fresh.push();
            assertEquals("Africa/Lagos", stored(LIN).get("time_zone"));
        }
    }

    private static void setTimeZone(Device device, String zone) throws CouchbaseLiteException {
        device.edit(LIN, Map.of("time_zone", zone, "updated_by", "bigdb.lin"));
    }
}
