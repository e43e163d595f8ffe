import SkeinCore
import SkeinHTTP
import Testing

/// XML as data: what is read, and what is refused.
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

    @Test("a thousand levels are no danger when they are allowed")
    func deep() throws {
        let text = String(repeating: "<a>", count: 1000) + "x" + String(repeating: "</a>", count: 1000)
        #expect(try XMLValue(text, maximumDepth: 1000).text == "x")
    }
}
