//! The fenced blocks of a page.

use std::error::Error;

/// A block: where it begins, what it is, and its text.
pub struct Block {
    pub line: usize,
    pub language: String,
    attributes: Vec<String>,
    /// The file that the line before it names.
    pub file: Option<String>,
    pub text: String,
}

impl Block {
    /// The values of the attributes `name:value`.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let attributes = self.attributes.iter();
        attributes.filter_map(move |a| a.strip_prefix(name)?.strip_prefix(':'))
    }

    pub fn is(&self, attribute: &str) -> bool {
        self.attributes.iter().any(|a| a == attribute)
    }

    /// Why it is not run.
    pub fn not_run(&self) -> Option<&str> {
        self.values("no-run").next()
    }
}

/// The blocks of a page, in their order.
pub fn read(page: &str) -> Result<Vec<Block>, Box<dyn Error>> {
    let mut blocks = Vec::new();
    let mut before = "";
    let mut lines = page.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        let Some(info) = line.trim_start().strip_prefix("```") else {
            if !line.trim().is_empty() {
                before = line;
            }
            continue;
        };
        let mut text = String::new();
        loop {
            let Some((_, line)) = lines.next() else {
                return Err(format!("line {}: the block does not end", at + 1).into());
            };
            if line.trim_start().starts_with("```") {
                break;
            }
            text += line.get(indent..).unwrap_or_default();
            text.push('\n');
        }
        let mut words = info.split([' ', ',']).map(str::to_owned);
        let language = words.next().unwrap_or_default();
        blocks.push(Block {
            line: at + 1,
            file: named(before).filter(|_| language == "lua"),
            language,
            attributes: words.collect(),
            text,
        });
        before = "";
    }
    Ok(blocks)
}

/// The file that a line names at its end: "`name.lua`:".
fn named(line: &str) -> Option<String> {
    let (_, name) = line.strip_suffix("`:")?.rsplit_once('`')?;
    name.ends_with(".lua").then(|| name.to_owned())
}

#[test]
fn a_block_has_a_language_attributes_and_a_file() -> Result<(), Box<dyn Error>> {
    let page = "Text, `net.lua`:\n\n```lua with:a.lua with:b.lua no-run:why\nx\n```\n- y\n\n  ```sh\n  z\n  ```\n";
    let blocks = read(page)?;
    assert_eq!(blocks.len(), 2);
    assert_eq!(blocks[0].file.as_deref(), Some("net.lua"));
    assert_eq!(
        blocks[0].values("with").collect::<Vec<_>>(),
        ["a.lua", "b.lua"]
    );
    assert_eq!(blocks[0].not_run(), Some("why"));
    assert_eq!((&*blocks[1].language, &*blocks[1].text), ("sh", "z\n"));
    Ok(())
}
