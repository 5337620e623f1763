//! Reads the source files of the library: their code without comments, texts and tests.

use super::Result;
use std::fs;
use std::path::{Path, PathBuf};

/// A file's path below `src`, and its code without comments, strings and tests.
pub struct File {
    pub path: String,
    pub code: String,
}

impl File {
    /// The module of the top level to which the file belongs.
    pub fn module(&self) -> &str {
        let end = self.path.find(['/', '.']).unwrap_or(self.path.len());
        &self.path[..end]
    }
}

pub fn files() -> Result<Vec<File>> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![src.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path: PathBuf = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(File {
                    path: path.strip_prefix(&src)?.display().to_string(),
                    code: code(&fs::read_to_string(&path)?),
                });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// The code of a file: no comments, nothing in quotes, and none of the items that `#[cfg(test)]` stands
/// before, wherever that is.
pub fn code(text: &str) -> String {
    let bare = bare(text);
    let mut rest = bare.as_str();
    let mut code = String::new();
    while let Some((before, after)) = rest.split_once("#[cfg(test)]") {
        code.push_str(before);
        rest = &after[end_of_item(after)..];
    }
    code.push_str(rest);
    code
}

/// Where the first item of this code ends: at a semicolon outside of all brackets, or with the first
/// block in braces.
pub fn end_of_item(code: &str) -> usize {
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 && matches!(c, ';' | '}') {
            return at + 1;
        }
    }
    code.len()
}

/// A text without its comments, and with nothing between its quotes; its lines stay as they are.
pub fn bare(text: &str) -> String {
    let mut bare = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let word = bare.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let (shown, length) = match c {
            '/' if rest.starts_with("//") => ("", rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => (" ", block_comment(rest)),
            '"' => ("\"\"", string(rest)),
            'r' if !word && raw_string(rest).is_some() => {
                ("\"\"", raw_string(rest).unwrap_or(rest.len()))
            }
            '\'' => match character(rest) {
                Some(length) => ("''", length),
                None => ("'", 1),
            },
            c => (&rest[..c.len_utf8()], c.len_utf8()),
        };
        bare.push_str(shown);
        let (gone, left) = rest.split_at(length);
        if length > 1 {
            bare.extend(gone.chars().filter(|c| *c == '\n'));
        }
        rest = left;
    }
    bare
}

/// The length of the comment at the beginning; comments nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    for at in text.char_indices().map(|(at, _)| at) {
        if text[at..].starts_with("/*") {
            depth += 1;
        } else if text[..at].ends_with("*/") && at > 3 {
            depth -= 1;
            if depth == 0 {
                return at;
            }
        }
    }
    text.len()
}

/// The length of the string at the beginning.
fn string(text: &str) -> usize {
    let mut escaped = true;
    for (at, c) in text.char_indices() {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// The length of the raw string at the beginning, if it is one.
fn raw_string(text: &str) -> Option<usize> {
    let hashes = text[1..].len() - text[1..].trim_start_matches('#').len();
    let body = text[1 + hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(2 + hashes + length)
}

/// The length of the character at the beginning, if it is one and no lifetime.
fn character(text: &str) -> Option<usize> {
    let mut chars = text[1..].char_indices();
    let end = match chars.next()?.1 {
        '\\' => {
            chars.next();
            chars.find(|(_, c)| *c == '\'')?.0
        }
        _ => chars.next().filter(|(_, c)| *c == '\'')?.0,
    };
    Some(1 + end + 1)
}
