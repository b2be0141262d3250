import com.couchbase.lite.*;
import org.junit.jupiter.api.Test;
class XTest { @Test void x() throws Exception { Manager m = new Manager(new JavaContext(), Manager.DEFAULT_OPTIONS); System.out.println(m.getDirectory()); Database d = m.getDatabase("a"); d.createDocument().putProperties(java.util.Map.of("a",1)); System.out.println(d.getDocumentCount()); } }
