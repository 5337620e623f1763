//! `tributary functions`: every Lua function, with its arguments and one line about it.

use super::print;
use tributary::Result;

pub fn run() -> Result<()> {
    let functions = tributary::script::functions();
    let calls: Vec<String> = functions
        .iter()
        .map(|f| format!("{}({})", f.name, f.arguments))
        .collect();
    let mut text = String::new();
    for (call, function) in calls.iter().zip(&functions) {
        text.push_str(&format!("{call}\n    {}\n", function.about));
    }
    print(&text)
}
