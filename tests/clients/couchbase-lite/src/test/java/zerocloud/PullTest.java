package zerocloud;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static zerocloud.World.launch;

import com.couchbase.lite.auth.AuthenticatorFactory;
import com.couchbase.lite.replicator.RemoteRequestResponseException;
import com.couchbase.lite.replicator.Replication;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** What reaches a device, and with which login. */
class PullTest {
    @Test
    void aPersonReceivesTheirOwnLeasesAndNobodyElses() throws Exception {
        String mine = launch("lin");
        String theirs = launch("max");
        try (Device phone = new Device("lin"); Device tablet = new Device("ada")) {
            assertNull(phone.pull().getLastError());
            assertEquals("lin", phone.get(mine).get("owner"));
            assertNull(phone.get(theirs));
            tablet.pull();
            assertEquals("max", tablet.get(theirs).get("owner"), "an admin receives everybody's");
        }
    }

    @Test
    void aPullByChannelBringsThatChannelAlone() throws Exception {
        try (Device tablet = new Device("ada")) {
            Replication pull = tablet.puller();
            pull.setChannels(List.of("account:bigdb"));
            Device.run(pull);
            assertEquals(Set.of("account::bigdb", "policy::bigdb"), tablet.ids());
        }
    }

    @Test
    void aSecondPullGoesOnAtTheCheckpoint() throws Exception {
        String mine = launch("lin");
        try (Device phone = new Device("lin")) {
            phone.pull();
            phone.database.getDocument(mine).purge();
            String later = launch("lin");
            phone.pull();
            assertNotNull(phone.get(later));
            assertNull(phone.get(mine), "what came before the checkpoint is not sent again");
            Replication another = phone.puller();
            another.setChannels(List.of("user:bigdb:lin"));
            Device.run(another);
            assertNotNull(phone.get(mine), "another pull has a checkpoint of its own");
        }
    }

    @Test
    void aWrongPasswordPullsNothingAndSaysSo() throws Exception {
        try (Device phone = new Device("lin")) {
            Replication pull = phone.puller();
            pull.setAuthenticator(AuthenticatorFactory.createBasicAuthenticator("bigdb.lin", "a guess"));
            Device.run(pull);
            assertEquals(401, ((RemoteRequestResponseException) pull.getLastError()).getCode());
            assertTrue(phone.ids().isEmpty());
        }
    }

    @Test
    void aSessionCookieIsAsGoodAsAPassword() throws Exception {
        String mine = launch("lin");
        try (Device phone = new Device("lin")) {
            Replication pull = phone.puller();
            pull.setAuthenticator(null);
            pull.setCookie("SyncGatewaySession", World.signIn("lin"), "/zerocloud", null, false, false);
            Device.run(pull);
            assertNull(pull.getLastError());
            assertEquals("lin", phone.get(mine).get("owner"));
        }
    }
}
