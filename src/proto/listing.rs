//! A directory as a page or as JSON: order, escaping, links.
//!
//! Pure. Invariants: no name, whatever bytes it holds, leaves its place in the page or in the JSON; links are relative and lead to
//! exactly the name they show. Must not know where the items come from.

use crate::{date, path, text};
use std::cmp::Ordering;

/// One thing in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Without slashes; any other bytes.
    pub name: Vec<u8>,
    pub is_directory: bool,
    /// Bytes; of directories not shown.
    pub size: u64,
    /// Seconds since 1970.
    pub modified: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Name,
    Size,
    Date,
}

impl Key {
    const ALL: [Key; 3] = [Key::Name, Key::Size, Key::Date];

    const fn as_str(self) -> &'static str {
        match self {
            Key::Name => "name",
            Key::Size => "size",
            Key::Date => "date",
        }
    }
}

/// How a listing is sorted; directories stand before files in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    pub key: Key,
    pub descending: bool,
}

impl Order {
    /// From `?sort=size&order=desc`; by name where the query says nothing that we know.
    pub fn of_query(query: &str) -> Order {
        let mut order = Order {
            key: Key::Name,
            descending: false,
        };
        for pair in query.split('&') {
            match pair.split_once('=') {
                Some(("sort", value)) => {
                    let key = Key::ALL.into_iter().find(|key| key.as_str() == value);
                    order.key = key.unwrap_or(order.key);
                }
                Some(("order", value)) => order.descending = value == "desc",
                _ => {}
            }
        }
        order
    }

    pub fn sort(self, items: &mut [Item]) {
        let by_name = |a: &Item, b: &Item| {
            let lower = |item: &Item| item.name.to_ascii_lowercase();
            lower(a).cmp(&lower(b)).then_with(|| a.name.cmp(&b.name))
        };
        items.sort_by(|a, b| {
            let by_key = match self.key {
                Key::Name => Ordering::Equal,
                Key::Size => a.size.cmp(&b.size),
                Key::Date => a.modified.cmp(&b.modified),
            };
            let ordering = by_key.then_with(|| by_name(a, b));
            let ordering = if self.descending {
                ordering.reverse()
            } else {
                ordering
            };
            b.is_directory.cmp(&a.is_directory).then(ordering)
        });
    }
}

/// A directory to be written.
#[derive(Clone, Copy, Debug)]
pub struct Listing<'a> {
    /// The directory's path as the client knows it, decoded.
    pub path: &'a [u8],
    /// Whether the directory above can be asked for as well.
    pub has_parent: bool,
    /// In the order to be shown.
    pub items: &'a [Item],
    pub order: Order,
    /// There are more than these.
    pub truncated: bool,
}

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8883;--dim:#777;--link:#0b5cad}\
@media(prefers-color-scheme:dark){:root{--dim:#999;--link:#7db8f5}}\
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.25rem;font-weight:600;overflow-wrap:anywhere}\
table{width:100%;border-collapse:collapse}\
th{text-align:left;font-weight:600;border-bottom:2px solid var(--line)}\
th a{color:inherit}\
td{border-bottom:1px solid var(--line);overflow-wrap:anywhere}\
th,td{padding:.35rem .5rem}\
tr:hover td{background:var(--line)}\
td+td,th+th{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums;width:1%}\
td+td{color:var(--dim)}\
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}\
p{color:var(--dim)}";

impl Listing<'_> {
    /// Appends the page.
    pub fn append_html(&self, out: &mut Vec<u8>) {
        out.reserve(1500 + self.items.len() * 160);
        out.extend_from_slice(b"<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
        out.extend_from_slice(b"<meta name=\"viewport\" content=\"width=device-width\"><title>");
        escape(self.path, out);
        out.extend_from_slice(b"</title><style>");
        out.extend_from_slice(STYLE.as_bytes());
        out.extend_from_slice(b"</style></head>\n<body><h1>");
        escape(self.path, out);
        out.extend_from_slice(b"</h1>\n<table><thead><tr>");
        for key in Key::ALL {
            self.append_column(key, out);
        }
        out.extend_from_slice(b"</tr></thead>\n<tbody>\n");
        if self.has_parent {
            out.extend_from_slice(b"<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
        }
        for item in self.items {
            item.append_row(out);
        }
        out.extend_from_slice(b"</tbody></table>\n<p>");
        text::append_decimal(out, self.items.len() as u64);
        out.extend_from_slice(if self.truncated {
            b" entries are shown; there are more."
        } else if self.items.len() == 1 {
            b" entry"
        } else {
            b" entries"
        });
        out.extend_from_slice(b"</p></body></html>\n");
    }

    /// A heading that sorts by its column, and the other way round when that is the order already.
    fn append_column(&self, key: Key, out: &mut Vec<u8>) {
        let is_current = self.order.key == key;
        let turn = is_current && !self.order.descending;
        out.extend_from_slice(b"<th><a href=\"?sort=");
        out.extend_from_slice(key.as_str().as_bytes());
        out.extend_from_slice(if turn { b"&amp;order=desc\">" } else { b"\">" });
        out.extend_from_slice(match key {
            Key::Name => b"Name",
            Key::Size => b"Size",
            Key::Date => b"Date",
        });
        if is_current {
            out.extend_from_slice(
                if self.order.descending {
                    " ↓"
                } else {
                    " ↑"
                }
                .as_bytes(),
            );
        }
        out.extend_from_slice(b"</a></th>");
    }

    /// Appends the JSON, in the shape that nginx made known.
    pub fn append_json(&self, out: &mut Vec<u8>) {
        out.reserve(2 + self.items.len() * 110);
        out.push(b'[');
        for (index, item) in self.items.iter().enumerate() {
            out.extend_from_slice(if index == 0 { b"\n" } else { b",\n" });
            out.extend_from_slice(b"{\"name\":");
            append_json_string(&item.name, out);
            out.extend_from_slice(if item.is_directory {
                b",\"type\":\"directory\",\"mtime\":\""
            } else {
                b",\"type\":\"file\",\"mtime\":\""
            });
            out.extend_from_slice(&date::imf_fixdate(item.modified));
            out.push(b'"');
            if !item.is_directory {
                out.extend_from_slice(b",\"size\":");
                text::append_decimal(out, item.size);
            }
            out.push(b'}');
        }
        out.extend_from_slice(b"\n]\n");
    }
}

impl Item {
    fn append_row(&self, out: &mut Vec<u8>) {
        let slash: &[u8] = if self.is_directory { b"/" } else { b"" };
        // The dot keeps a name with a colon from being read as a scheme.
        out.extend_from_slice(b"<tr><td><a href=\"./");
        path::encode(&self.name, out);
        out.extend_from_slice(slash);
        out.extend_from_slice(b"\">");
        escape(&self.name, out);
        out.extend_from_slice(slash);
        out.extend_from_slice(b"</a></td><td>");
        if !self.is_directory {
            append_size(self.size, out);
        }
        out.extend_from_slice(b"</td><td>");
        // 2026-11-23T01:02:03.000Z: to the minute, in UTC.
        let time = date::rfc3339(self.modified, 0);
        out.extend_from_slice(&time[..10]);
        out.push(b' ');
        out.extend_from_slice(&time[11..16]);
        out.extend_from_slice(b"</td></tr>\n");
    }
}

/// `17 B`, `1.5 KiB`, `230 MiB`.
fn append_size(size: u64, out: &mut Vec<u8>) {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut unit = 0;
    while unit + 1 < UNITS.len() && size >> (10 * (unit + 1)) > 0 {
        unit += 1;
    }
    let whole = size >> (10 * unit);
    text::append_decimal(out, whole);
    if unit > 0 && whole < 10 {
        let rest = (size >> (10 * (unit - 1))) & 1023;
        out.push(b'.');
        text::append_decimal(out, rest * 10 / 1024);
    }
    out.push(b' ');
    out.extend_from_slice(UNITS[unit].as_bytes());
}

/// Appends text into HTML; what is not UTF-8 is shown as such.
/// Text for HTML, in elements and in quoted attributes.
pub fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in String::from_utf8_lossy(bytes).as_bytes() {
        match byte {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'"' => out.extend_from_slice(b"&quot;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            // A line break, a bell: visible instead of effective.
            0..0x20 | 0x7f => out.extend_from_slice("\u{fffd}".as_bytes()),
            _ => out.push(byte),
        }
    }
}

fn append_json_string(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in String::from_utf8_lossy(bytes).as_bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                out.push(b"0123456789abcdef"[usize::from(byte >> 4)]);
                out.push(b"0123456789abcdef"[usize::from(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Fuzz: names, a line each; the page keeps its tags whatever they hold, and links decode to the names.
pub fn fuzz_listing(data: &[u8]) {
    let mut items: Vec<Item> = data
        .split(|&byte| byte == b'\n' || byte == b'/' || byte == 0)
        .enumerate()
        .map(|(index, name)| Item {
            name: name.to_vec(),
            is_directory: index % 3 == 0,
            size: (name.len() as u64) << (index % 64),
            modified: index as u64,
        })
        .collect();
    let order = Order::of_query(std::str::from_utf8(data).unwrap_or("sort=size"));
    order.sort(&mut items);
    let listing = Listing {
        path: data,
        has_parent: false,
        items: &items,
        order,
        truncated: false,
    };
    let mut page = Vec::new();
    listing.append_html(&mut page);
    let page = std::str::from_utf8(&page).expect("a page is UTF-8");
    assert_eq!(page.matches("<tr>").count(), items.len() + 1);
    assert_eq!(page.matches('<').count(), page.matches('>').count());
    for (row, item) in page.split("href=\"./").skip(1).zip(&items) {
        let link = row.split('"').next().unwrap_or("");
        let mut name = Vec::new();
        assert!(path::decode(link.as_bytes(), &mut name).is_ok());
        assert_eq!(name.strip_suffix(b"/").unwrap_or(&name), item.name);
    }
    let mut json = Vec::new();
    listing.append_json(&mut json);
    assert!(
        std::str::from_utf8(&json).is_ok()
            && json.iter().filter(|&&byte| byte == b'\n').count() == items.len() + 2
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &[u8], size: u64, modified: u64) -> Item {
        Item {
            name: name.to_vec(),
            is_directory: size == 0,
            size,
            modified,
        }
    }

    fn names(query: &str) -> String {
        let mut items = [
            item(b"b", 5, 30),
            item(b"A", 9, 20),
            item(b"z", 0, 1),
            item(b"c", 7, 10),
            item(b"y", 0, 2),
        ];
        Order::of_query(query).sort(&mut items);
        items
            .iter()
            .map(|item| String::from_utf8_lossy(&item.name).into_owned())
            .collect()
    }

    #[test]
    fn orders() {
        for (query, expected) in [
            ("", "yzAbc"),
            ("sort=name&order=desc", "zycbA"),
            ("sort=size", "yzbcA"),
            ("sort=size&order=desc", "zyAcb"),
            ("order=asc&sort=date", "zycAb"),
            ("sort=rubbish&order=&x", "yzAbc"),
        ] {
            assert_eq!(names(query), expected, "{query}");
        }
    }

    #[test]
    fn names_stay_in_their_place() {
        let names: [&[u8]; 6] = [
            b"<script>&\"'",
            b"javascript:alert(1)",
            b"a b?c#d%e",
            "gr\u{fc}n".as_bytes(),
            b"\xff\xfe",
            b"a\nb\\",
        ];
        let items: Vec<Item> = names
            .iter()
            .map(|name| item(name, 1536, 784_111_777))
            .collect();
        let order = Order::of_query("sort=date");
        let listing = Listing {
            path: b"/<x>/",
            has_parent: true,
            items: &items,
            order,
            truncated: true,
        };
        let mut out = Vec::new();
        listing.append_html(&mut out);
        let page = String::from_utf8(out).expect("UTF-8");
        for part in [
            "<title>/&lt;x&gt;/</title>",
            "<a href=\"../\">",
            "<a href=\"./%3Cscript%3E%26%22%27\">&lt;script&gt;&amp;&quot;&#39;</a>",
            "<a href=\"./javascript:alert(1)\">",
            "<a href=\"./a%20b%3Fc%23d%25e\">",
            "<a href=\"./gr%C3%BCn\">gr\u{fc}n</a>",
            "<a href=\"./%FF%FE\">\u{fffd}\u{fffd}</a>",
            "<td>1.5 KiB</td><td>1994-11-06 08:49</td>",
            "?sort=date&amp;order=desc\">Date ↑",
            "6 entries are shown; there are more.",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
        assert!(!page.contains("<script") && !page.contains("http"));
        let mut out = Vec::new();
        listing.append_json(&mut out);
        let json = String::from_utf8(out).expect("UTF-8");
        assert!(json.contains("{\"name\":\"a\\u000ab\\\\\",\"type\":\"file\",\"mtime\":\"Sun, 06 Nov 1994 08:49:37 GMT\",\"size\":1536}"), "{json}");
    }

    #[test]
    fn sizes_are_read_at_a_glance() {
        for (size, expected) in [
            (1, "1 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (10 * 1024, "10 KiB"),
            (1_572_864, "1.5 MiB"),
            (u64::MAX, "15 EiB"),
        ] {
            let mut out = Vec::new();
            append_size(size, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }
}
