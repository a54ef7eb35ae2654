//! JSON as Python has it: golden vectors, and thousands of documents through Python itself where there is one.

#![expect(clippy::unwrap_used, reason = "in a helper, too, it fails the test")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use osbuild_manifest::value::{Text, Value};

#[test]
fn golden_vectors() {
    for (text, expected) in [
        (
            r#""gr\u00fc\u00dfe \u20ac\ud83d\ude00\u007f\u0001\"\\/\b\f\n\r\t""#,
            "\"gr\\u00fc\\u00dfe \\u20ac\\ud83d\\ude00\\u007f\\u0001\\\"\\\\/\\b\\f\\n\\r\\t\"",
        ),
        (
            "[1.0, 1e100, 1.5e-7, 100000000000000000000, 1e16, 123456789.123456789, -0.0, 0.1, 1e15, 5e-324, 0.0001, 0.00001]",
            "[1.0, 1e+100, 1.5e-07, 100000000000000000000, 1e+16, 123456789.12345679, -0.0, 0.1, 1000000000000000.0, 5e-324, 0.0001, 1e-05]",
        ),
        (
            "{\"\u{1f600}\": 1, \"\u{ffff}\": 2, \"é\": 3, \"b\": 4, \"a\": 5, \"Z\": 6, \"\": 7}",
            r#"{"": 7, "Z": 6, "a": 5, "b": 4, "\u00e9": 3, "\uffff": 2, "\ud83d\ude00": 1}"#,
        ),
        ("[1, 1.0, 1e0, -0, -0.0]", "[1, 1.0, 1.0, 0, -0.0]"),
        (
            "[NaN, Infinity, -Infinity, 1e400, -1e400]",
            "[NaN, Infinity, -Infinity, Infinity, -Infinity]",
        ),
        (
            r#""\ud800\udc00 \udc00 \ud800 \ud800\u0041""#,
            r#""\ud800\udc00 \udc00 \ud800 \ud800A""#,
        ),
        (r#"{"a": 1, "b": 2, "a": 3}"#, r#"{"a": 3, "b": 2}"#),
        (" \t\r\n[ ] ", "[]"),
        ("{ }", "{}"),
        // The closest of the shortest digits, which the standard library does not always give.
        (
            "[1737787232155149.2, 9007199254740993.0, 2.2250738585072014e-308]",
            "[1737787232155149.2, 9007199254740992.0, 2.2250738585072014e-308]",
        ),
    ] {
        let value = Value::from_json(text).unwrap();
        assert_eq!(value.to_sorted_python_json(), expected, "{text}");
    }
}

#[test]
fn duplicate_keys_keep_the_first_place_and_the_last_value() {
    let value = Value::from_json(r#"{"a": 1, "b": 2, "a": 3}"#).unwrap();
    assert_eq!(value.to_python_json(), r#"{"a": 3, "b": 2}"#);
}

#[test]
fn indented_text_is_that_of_python() {
    let value = Value::from_json(r#"{"b": [1, {}], "a": [], "c": {"d": "é"}}"#).unwrap();
    let expected = "{\n  \"b\": [\n    1,\n    {}\n  ],\n  \"a\": [],\n  \"c\": {\n    \"d\": \"\\u00e9\"\n  }\n}";
    assert_eq!(value.to_indented_python_json(2), expected);
}

/// Numbers without end: Knuth's 64-bit linear congruence, so that every run tries the same documents.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 11 ^ self.0 << 21 ^ self.0 >> 33
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

fn document(random: &mut Random, depth: usize) -> String {
    let space = |random: &mut Random| {
        random
            .pick(&["", "", "", " ", "\n", "\t ", "\r\n"])
            .to_owned()
    };
    let core = match random.below(if depth > 4 { 6 } else { 9 }) {
        0 => random
            .pick(&["null", "true", "false", "NaN", "Infinity", "-Infinity"])
            .to_owned(),
        1 => f64::from_bits(random.next() << 1 ^ random.next()).to_string(),
        2 => format!("{:e}", f64::from_bits(random.next() << 1 ^ random.next())),
        3 => number(random),
        4 | 5 => string(random),
        6 => {
            let items: Vec<_> = (0..random.below(5))
                .map(|_| document(random, depth + 1))
                .collect();
            format!("[{}]", items.join(","))
        }
        _ => {
            let members: Vec<_> = (0..random.below(5))
                .map(|_| {
                    format!(
                        "{}{}:{}",
                        string(random),
                        space(random),
                        document(random, depth + 1)
                    )
                })
                .collect();
            format!("{{{}}}", members.join(","))
        }
    };
    format!("{}{core}{}", space(random), space(random))
}

fn number(random: &mut Random) -> String {
    let digits = |random: &mut Random, most: usize| -> String {
        (0..=random.below(most))
            .map(|_| char::from(b'0' + random.below(10) as u8))
            .collect()
    };
    let mut number = random.pick(&["", "-"]).to_owned();
    if random.below(3) == 0 {
        number.push('0');
    } else {
        number.push(char::from(b'1' + random.below(9) as u8));
        number.push_str(&digits(random, 30));
    }
    if random.below(2) == 0 {
        number.push('.');
        number.push_str(&digits(random, 20));
    }
    if random.below(3) == 0 {
        number.push_str(random.pick(&["e", "E", "e+", "e-", "E-"]));
        number.push_str(&digits(random, 2));
    }
    number
}

fn string(random: &mut Random) -> String {
    let pieces: String = (0..random.below(6))
        .map(|_| match random.below(6) {
            0 => random
                .pick(&["\\n", "\\\"", "\\\\", "\\/", "\\b", "\\f", "\\r", "\\t"])
                .to_owned(),
            1 => format!("\\u{:04x}", random.below(0x1_0000)),
            2 => format!(
                "\\uD8{:02X}\\udc{:02x}",
                random.below(0x100),
                random.below(0x100)
            ),
            3 => char::from_u32(random.below(0x11_0000) as u32)
                .filter(|&c| c >= ' ' && c != '"' && c != '\\')
                .unwrap_or('x')
                .to_string(),
            4 => random
                .pick(&["a", "b", "'", "ab", "\u{7f}", "é"])
                .to_owned(),
            _ => random.pick(&["org.osbuild", " ", "k1", "k2"]).to_owned(),
        })
        .collect();
    format!("\"{pieces}\"")
}

/// Breaks a document somewhere, or makes it odd.
fn broken(random: &mut Random, document: &str) -> String {
    let mut characters: Vec<char> = document.chars().collect();
    let at = random.below(characters.len().max(1));
    let odd = [
        '"', ',', ':', '[', ']', '{', '}', '\\', '-', '.', 'e', '0', '+', '\u{1}', '\u{a0}', 'N',
        '\u{feff}', '\'',
    ];
    match random.below(3) {
        0 if !characters.is_empty() => {
            characters.remove(at);
        }
        1 => characters.truncate(at),
        _ => characters.insert(at, odd[random.below(odd.len())]),
    }
    characters.into_iter().collect()
}

const SCRIPT: &str = r#"
import json, sys, unicodedata
for line in sys.stdin:
    text = bytes.fromhex(line.strip()).decode()
    try:
        value = json.loads(text)
    except ValueError as error:
        print("refused")
        continue
    # Whether characters that this Python does not know are shown depends on its version.
    is_known = all(unicodedata.category(c) != "Cn" for c in json.dumps(value, ensure_ascii=False))
    shown = repr(value).encode("utf8", "surrogatepass").hex() if is_known else ""
    print(json.dumps(value), json.dumps(value, sort_keys=True), json.dumps(json.dumps(value, indent=2)), shown, sep="\x1f")
"#;

fn through_python(script: &str, lines: &[String]) -> Vec<String> {
    let mut python = Command::new("python3")
        .args(["-c", script])
        .env("PYTHONIOENCODING", "utf8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = python.stdin.take().unwrap();
    let text = lines.join("\n") + "\n";
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

fn hexadecimal(text: &str) -> String {
    let digits = |byte: u8| {
        [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
    };
    text.bytes().flat_map(digits).collect()
}

#[test]
fn documents_are_read_and_written_as_by_python() {
    osbuild_testing::needs![tool("python3")];
    let mut random = Random(20_261_122);
    let mut documents: Vec<String> = (0..6000).map(|_| document(&mut random, 0)).collect();
    documents.extend(
        (0..6000).map(|index| document(&mut random, 3) + if index % 2 == 0 { "" } else { " " }),
    );
    for index in 0..6000 {
        let odd = broken(&mut random, &documents[index].clone());
        documents.push(odd);
    }
    let answers = through_python(
        SCRIPT,
        &documents
            .iter()
            .map(|text| hexadecimal(text))
            .collect::<Vec<_>>(),
    );
    assert_eq!(answers.len(), documents.len());
    let (mut refused, mut shown) = (0, 0);
    for (text, answer) in documents.iter().zip(answers) {
        let Ok(value) = Value::from_json(text) else {
            refused += 1;
            assert_eq!("refused", answer, "{text:?}");
            continue;
        };
        let answer: Vec<&str> = answer.split('\u{1f}').collect();
        let [written, sorted, indented, representation] = answer[..] else {
            panic!("{text:?}: {answer:?}")
        };
        assert_eq!(value.to_python_json(), written, "{text:?}");
        assert_eq!(value.to_sorted_python_json(), sorted, "{text:?}");
        assert_eq!(
            Value::from(value.to_indented_python_json(2)).to_python_json(),
            indented,
            "{text:?}"
        );
        if !representation.is_empty() {
            shown += 1;
            assert_eq!(
                hexadecimal(&value.to_python_repr()),
                representation,
                "{text:?}"
            );
        }
    }
    assert!(shown > 5000);
    println!("{} documents, {refused} of them refused", documents.len());
    assert!(refused > 2000 && refused < 6000);
}

#[test]
fn every_character_is_shown_as_by_python() {
    osbuild_testing::needs![tool("python3")];
    // Characters that this Python does not know yet are left out: which there are depends on its version.
    let script = r#"
import sys, unicodedata
for line in sys.stdin:
    for code in range(0x110000):
        if unicodedata.category(chr(code)) != "Cn":
            print(code, repr(chr(code)).encode("utf8", "surrogatepass").hex())
"#;
    let answers = through_python(script, &["go".to_owned()]);
    assert!(answers.len() > 200_000);
    for answer in answers {
        let (code, shown) = answer.split_once(' ').unwrap();
        let text = Text::from_code_points([code.parse().unwrap()]).unwrap();
        assert_eq!(
            hexadecimal(&Value::from(text).to_python_repr()),
            shown,
            "U+{:04X}",
            code.parse::<u32>().unwrap()
        );
    }
}

#[test]
fn patterns_are_searched_as_by_python() {
    osbuild_testing::needs![tool("python3")];
    let patterns = Value::from_json(include_str!("data/patterns.json")).unwrap();
    let (patterns, texts) = (
        patterns.get("patterns").unwrap(),
        patterns.get("texts").unwrap(),
    );
    let script = r#"
import json, re, sys
for line in sys.stdin:
    data = json.loads(bytes.fromhex(line.strip()).decode())
    for pattern in data["patterns"]:
        print("".join("01"[bool(re.search(pattern, text))] for text in data["texts"]))
"#;
    let answers = through_python(script, &[hexadecimal(include_str!("data/patterns.json"))]);
    for (pattern, answer) in patterns.as_array().unwrap().iter().zip(answers) {
        let schema = osbuild_manifest::value::Object::from_iter([("pattern", pattern.clone())]);
        let schema = osbuild_manifest::schema::Schema::compile(&schema.into()).unwrap();
        for (text, expected) in texts.as_array().unwrap().iter().zip(answer.chars()) {
            assert_eq!(
                schema.allows(text),
                expected == '1',
                "{pattern:?} in {text:?}"
            );
        }
    }
}
