//! Walks through XML, element by element.

use anyhow::{Context as _, Result, bail};
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

/// An element's name without its namespace, and its attributes.
pub(super) struct Element {
    pub(super) name: String,
    attributes: Vec<(String, String)>,
}

impl Element {
    /// The value of an attribute.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        attributes
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of an attribute that has to be there.
    pub(super) fn require(&self, name: &str) -> Result<&str> {
        self.get(name)
            .with_context(|| format!("an element `{}` has no `{name}`", self.name))
    }
}

/// What is done at the beginning and at the end of elements.
pub(super) trait Visitor {
    /// An element begins.
    fn begin(&mut self, element: &Element) -> Result<()>;
    /// An element of this name ends, after this text.
    fn end(&mut self, name: &str, text: &str) -> Result<()>;
}

/// Walks through a document; entities that it declares itself are errors.
pub(super) fn walk(text: &str, visitor: &mut dyn Visitor) -> Result<()> {
    let mut reader = Reader::from_str(text);
    let mut content = String::new();
    let mut depth = 0_usize;
    loop {
        match reader.read_event().context("reading XML")? {
            Event::Start(start) => {
                depth += 1;
                content.clear();
                visitor.begin(&element(&start)?)?;
            }
            Event::Empty(start) => {
                let element = element(&start)?;
                visitor.begin(&element)?;
                visitor.end(&element.name, "")?;
            }
            Event::End(end) => {
                depth -= 1;
                visitor.end(end.local_name().into_inner(), content.trim())?;
                content.clear();
            }
            Event::Text(text) => content.push_str(&text.xml10_content()),
            Event::CData(text) => content.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => match reference.resolve_char_ref()? {
                Some(letter) => content.push(letter),
                None => content.push(predefined(&reference.xml10_content())?),
            },
            Event::Eof if depth == 0 => return Ok(()),
            Event::Eof => bail!("the XML ends early"),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

fn element(start: &BytesStart<'_>) -> Result<Element> {
    let attributes = start.attributes().map(|attribute| {
        let attribute = attribute?;
        let name = attribute.key.as_ref().to_owned();
        let value = attribute.normalized_value(XmlVersion::Implicit1_0)?;
        Ok((name, value.into_owned()))
    });
    Ok(Element {
        name: start.local_name().into_inner().to_owned(),
        attributes: attributes.collect::<Result<_>>()?,
    })
}

fn predefined(name: &str) -> Result<char> {
    Ok(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        other => bail!("the XML has an entity of its own, `{other}`"),
    })
}
