package zerocloud;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static zerocloud.World.stored;
import static zerocloud.World.until;

import com.couchbase.lite.Revision;
import com.couchbase.lite.UnsavedRevision;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.UUID;
import org.junit.jupiter.api.Test;

/** The gateway by itself: a database whose documents name their channels. */
class NotesTest {
    private final String id = UUID.randomUUID().toString();

    @Test
    void twoDevicesThatSyncLiveSeeEachOthersNewDocumentsEditsAndDeletions() throws Exception {
        try (Device ada = new Device("ada", "notes"); Device lin = new Device("lin", "notes")) {
            ada.keepInSync();
            lin.keepInSync();
            ada.put(Map.of("_id", id, "channels", List.of("all"), "text", "one"));
            until("it reaches lin", () -> lin.get(id));
            lin.edit(id, Map.of("text", "two"));
            until("the edit reaches ada", () -> "two".equals(ada.get(id).get("text")));
            ada.database.getDocument(id).delete();
            until("the deletion reaches lin", () -> lin.database.getDocument(id).isDeleted());
            until("and the gateway", () -> stored("notes", id) == null);
        }
    }

    @Test
    void aDocumentInAChannelOfSomebodyElseArrivesOnceItIsMovedToOnesOwn() throws Exception {
        try (Device lin = new Device("lin", "notes")) {
            World.put("notes", "max", Map.of("_id", id, "channels", List.of("max")));
            lin.pull();
            assertNull(lin.get(id));
            lin.keepInSync();
            Object rev = stored("notes", id).get("_rev");
            World.put("notes", "max", Map.of("_id", id, "_rev", rev, "channels", List.of("lin")));
            until("it arrives", () -> lin.get(id));
        }
    }

    @Test
    void attachmentsArriveWholeAndStayWhenAnotherDeviceEditsTheDocument() throws Exception {
        byte[] photo = new byte[200_000];
        new Random(1).nextBytes(photo);
        try (Device ada = new Device("ada", "notes"); Device lin = new Device("lin", "notes")) {
            UnsavedRevision made = ada.database.getDocument(id).createRevision();
            made.setUserProperties(Map.of("channels", List.of("all")));
            attach(made, "hello.txt", "text/plain", bytes("hello"));
            attach(made, "photo.jpg", "image/jpeg", photo);
            made.save();
            ada.push();
            lin.pull();
            assertArrayEquals(bytes("hello"), attachment(lin, "hello.txt"));
            assertArrayEquals(photo, attachment(lin, "photo.jpg"));

            UnsavedRevision edit = lin.database.getDocument(id).createRevision();
            edit.setUserProperties(Map.of("channels", List.of("all"), "text", "seen"));
            attach(edit, "more.txt", "text/plain", bytes("more"));
            edit.save();
            lin.push();
            ada.pull();
            assertEquals("seen", ada.get(id).get("text"));
            assertArrayEquals(bytes("more"), attachment(ada, "more.txt"));
            assertArrayEquals(photo, attachment(ada, "photo.jpg"));
        }
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static void attach(UnsavedRevision revision, String name, String type, byte[] content) {
        revision.setAttachment(name, type, new ByteArrayInputStream(content));
    }

    private byte[] attachment(Device device, String name) throws Exception {
        Revision revision = device.database.getDocument(id).getCurrentRevision();
        try (var content = revision.getAttachment(name).getContent()) {
            return content.readAllBytes();
        }
    }
}
