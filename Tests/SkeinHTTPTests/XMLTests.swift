import SkeinCore
import SkeinHTTP
import Testing

/// XML as data: valid and refused documents.
@Suite("XML")
struct XMLTests {
    @Test("elements, attributes, texts, references, CDATA, comments")
    func read() throws {
        let root = try XMLValue(
            """
            <?xml version="1.0" encoding="utf-8"?>
            <!-- before -->
            <a:list id="1" note='a &quot;b&quot; &#x41;&#66;'>
              <item>one &amp; &lt;two&gt;</item><item/><item><![CDATA[<three> & ]]>four</item>
              <!-- between --><?php echo ?>
            </a:list>
            """)
        #expect(root.name == "a:list" && root.attributes == ["id": "1", "note": "a \"b\" AB"])
        #expect(root.all("item").map(\.text) == ["one & <two>", "", "<three> & four"])
        #expect(root["item"]?.text == "one & <two>" && root["none"] == nil)
        #expect(try XMLValue("<ä>\r\n</ä>").text == "\n")
    }

    @Test(
        "what is not well-formed, declares a type or goes too deep is an error with its place",
        arguments: [
            "", "text", "<a>", "<a></b>", "<a/><b/>", "<a b=c/>", "<a b='1' b='2'/>", "<a b='<'/>", "<a b='1'c='2'/>",
            "<a>&nbsp;</a>",
            "<a>& </a>", "<a>&#0;</a>", "<a>\u{1}</a>", "<a><!-- </a>", "</a>", "<1a/>", "<a", "<a b='",
            "<![CDATA[x]]>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
            String(repeating: "<a>", count: 101) + String(repeating: "</a>", count: 101),
        ])
    func refused(text: String) {
        #expect(throws: SkeinError.self) { try XMLValue(text) }
    }

    @Test("mutated documents are parsed or refused, without a crash")
    func mutated() {
        let good = Array(
            "<?xml version='1.0'?><!-- c --><a b='1 &amp; 2'><c/>x &#65; <![CDATA[y]]><d e=\"f\">z</d></a>".utf8)
        var state: UInt64 = 3
        func random(_ count: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % count
        }
        var read = 0
        for _ in 0..<3000 {
            var bytes = good
            for _ in 0...random(3) {
                let place = random(bytes.count)
                switch random(3) {
                case 0: bytes[place] = UInt8(random(256))
                case 1: bytes.removeSubrange(place..<min(bytes.count, place + 1 + random(8)))
                default: bytes.insert(contentsOf: good[random(good.count)...].prefix(9), at: place)
                }
                if bytes.isEmpty { bytes = good }
            }
            if (try? XMLValue(String(decoding: bytes, as: UTF8.self))) != nil { read += 1 }
        }
        #expect(read > 0 && read < 3000)
    }

    @Test("a thousand levels are safe when they are allowed")
    func deep() throws {
        let text = String(repeating: "<a>", count: 1000) + "x" + String(repeating: "</a>", count: 1000)
        #expect(try XMLValue(text, maximumDepth: 1000).text == "x")
    }
}
