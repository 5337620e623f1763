//! No secret is shown, wherever it comes from and whatever fails.

use crate::support::binary::{Done, command_in};
use crate::support::process::free_port;
use std::path::Path;

const CANARY: &str = "xyzzy-canary/of:a@long%secret";

/// All that the binary writes of a script, with every log it has switched on.
fn all_output(place: &Path, verb: &[&str], script: &str) -> String {
    written(place, verb, script, CANARY, None)
}

/// The same with this canary, and this level of all logs.
fn written(place: &Path, verb: &[&str], script: &str, canary: &str, log: Option<&str>) -> String {
    std::fs::write(
        place.join("net.lua"),
        format!("tb = require('tributary')\n{script}"),
    )
    .expect("written");
    let mut command = command_in(place, &[verb, &["net.lua", "-vv"]].concat());
    command
        .env("CANARY", canary)
        .envs(log.map(|level| ("RUST_LOG", level)));
    let done = Done::fed(command, "").expect("it ends");
    done.stdout + &done.stderr
}

#[test]
fn a_canary_is_never_shown() {
    let place = tempfile::tempdir().expect("a directory");
    std::fs::write(place.path().join("canary"), format!("{CANARY}\n")).expect("written");
    let port = free_port();
    let mut scripts = vec![
        "tb.create_source('a', '${env:CANARY}')".to_owned(),
        "tb.create_source('a', 'file:${env:CANARY}')".to_owned(),
        "tb.create_source('a', 'file:x', {follow = '${file:canary}'})".to_owned(),
        "tb.create_source('a', 'file:x', {in_flight = {'${file:canary}'}})".to_owned(),
        "tb.create_source('a', 'gopher://me:${env:CANARY}@host')".to_owned(),
        "tb.create_source('a', 'tcp://me:${env:CANARY}@127.0.0.1:99999')".to_owned(),
        "tb.create_sink('a', 'unix:${env:CANARY}/x', {timeout = '${env:CANARY}'})".to_owned(),
        "tb.create_sink('a', 'kafka://me:xyzzy-canary@h/${env:CANARY}')".to_owned(),
        "tb.create_source('a', 'file:${env:CANARY}') tb.create_stdout('b') tb.link('a', 'b')"
            .to_owned(),
    ];
    if cfg!(feature = "full") {
        let source = "tb.create_ticker('t', '10ms') tb.create_sink('a', ";
        for sink in [
            format!(
                "'http://me:${{env:CANARY}}@127.0.0.1:{port}/${{env:CANARY}}', {{token = '${{file:canary}}'}}"
            ),
            format!(
                "'slack:http://127.0.0.1:{port}/${{file:canary}}', {{text = '${{file:canary}} {{data}}'}}"
            ),
            "'telegram:123', {chat = 'x', text = '${file:canary} {dta}'}".to_owned(),
            format!(
                "'telegram:xyzzy-canary', {{chat = 'x', text = '{{data}}', api = 'http://127.0.0.1:{port}'}}"
            ),
        ] {
            scripts.push(format!("{source}{sink}) tb.link('t', 'a')"));
        }
    }
    for script in &scripts {
        for verb in [
            &["run", "--for", "300ms", "--drain", "300ms", "--stats"][..],
            &["check"],
            &["graph"],
            &["explain"],
        ] {
            let mut output = all_output(place.path(), verb, script);
            output += &written(place.path(), verb, script, CANARY, Some("trace"));
            for secret in ["xyzzy-canary", "xyzzy%2D", "long%25secret", "long%secret"] {
                assert!(!output.contains(secret), "{verb:?} of {script}: {output}");
            }
        }
    }
}

/// What encoders make of a secret that must not be shown either.
fn forms(secret: &str) -> Vec<String> {
    let percent = |digits: fn(u8) -> String| -> String {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
        let one = |byte: u8| {
            if plain(&byte) {
                char::from(byte).to_string()
            } else {
                digits(byte)
            }
        };
        secret.bytes().map(one).collect()
    };
    let base64 = |text: String| {
        let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let bits: String = text.bytes().map(|byte| format!("{byte:08b}")).collect();
        let six = bits.as_bytes().chunks_exact(6);
        let digit = |six: &[u8]| {
            let text = std::str::from_utf8(six).expect("digits");
            char::from(digits[usize::from_str_radix(text, 2).expect("a number")])
        };
        six.map(digit).collect::<String>()
    };
    vec![
        secret.to_owned(),
        percent(|byte| format!("%{byte:02X}")),
        percent(|byte| format!("%{byte:02x}")),
        percent(|byte| format!("%{byte:02X}")).replace("%20", "+"),
        base64(secret.to_owned()),
        base64(format!("me:{secret}")),
        base64(secret.to_owned())
            .replace('+', "-")
            .replace('/', "_"),
        serde_json::Value::from(secret)
            .to_string()
            .trim_matches('"')
            .to_owned(),
        secret.replace('\'', "''"),
        secret.replace('&', "&amp;").replace('\'', "&#39;"),
        format!("{:?}", secret.as_bytes())
            .trim_matches(['[', ']'])
            .to_owned(),
    ]
}

fn shows_none(output: &str, secret: &str, of: &str) {
    for form in forms(secret) {
        let at = output.find(&form);
        let near =
            at.map(|at| output[output.floor_char_boundary(at.saturating_sub(300))..].chars());
        let near: String = near.into_iter().flatten().take(600).collect();
        assert!(at.is_none(), "{form} in {of}: {near}");
    }
}

#[test]
fn an_address_made_of_a_secret_is_not_in_the_log_of_a_bad_line() {
    let place = tempfile::tempdir().expect("a directory");
    let secret = "xyzzy canary'of&100%+files";
    std::fs::write(place.path().join(secret), "{\"n\":1}\nrubbish\n").expect("written");
    for linked in ["", "tb.link('a.errors', 'letters')"] {
        let script = format!(
            "tb.create_source('a', 'file:${{env:CANARY}}', {{ checkpoint = '${{env:CANARY}}.place' }})
             tb.create_file_sink('b', 'out') tb.link('a', 'b')
             tb.create_file_sink('letters', 'letters') {linked}"
        );
        for verb in [&["run", "--stats"][..], &["check"], &["graph"]] {
            let output = written(place.path(), verb, &script, secret, Some("trace"));
            shows_none(&output, secret, &format!("{verb:?}"));
        }
        std::fs::remove_file(place.path().join(format!("{secret}.place"))).expect("it was made");
    }
    let output = written(
        place.path(),
        &["run"],
        "tb.create_source('a', 'file:${env:CANARY}') tb.create_discarder('b') tb.link('a', 'b')",
        secret,
        None,
    );
    assert!(output.contains("malformed JSON"), "{output}");
}

/// A server that answers each request with 500 and all that it was sent, as it is and in JSON.
#[cfg(feature = "http")]
fn echo() -> u16 {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut bytes = vec![0; 64 << 10];
            let length = stream.read(&mut bytes).unwrap_or(0);
            let request = String::from_utf8_lossy(&bytes[..length]).into_owned();
            let headers = request.lines().filter(|line| line.contains("uthorization"));
            let mut body: String = headers.collect();
            body.push_str(&serde_json::Value::from(request.as_str()).to_string());
            body.push_str(&request);
            let answer = format!(
                "HTTP/1.1 500 No\r\nx-echo: {}\r\ncontent-length: {}\r\n\r\n{body}",
                request.lines().next().unwrap_or_default(),
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

#[cfg(feature = "http")]
#[test]
fn a_server_that_echoes_a_secret_and_a_client_that_logs_it_do_not_show_it() {
    let (place, port) = (tempfile::tempdir().expect("a directory"), echo());
    for secret in [
        "s3cr'et/of:a \"long\"%+kind",
        "hunter2",
        "Pa55",
        "ein gröseres geheimnis",
        "https://127.0.0.1/hook/of/a/channel?key=abcdefgh",
    ] {
        let source = "tb.create_ticker('t', '10ms') tb.create_sink('a', ";
        for sink in [
            format!("'http://me:${{env:CANARY}}@127.0.0.1:{port}/x'"),
            format!("'http://127.0.0.1:{port}/x/${{file:encoded}}?k=${{file:encoded}}'"),
            format!(
                "'http://127.0.0.1:{port}/x', {{headers = {{['x-key'] = '${{file:encoded}}'}}}}"
            ),
            format!(
                "'http://127.0.0.1:{port}/x', {{body = {{k = '${{env:CANARY}}', l = '\"${{env:CANARY}}'}}}}"
            ),
            format!(
                "'slack:http://127.0.0.1:{port}/${{file:encoded}}', {{text = '${{env:CANARY}} {{data}}'}}"
            ),
            format!(
                "'telegram:${{file:encoded}}', {{chat = 'x', text = '{{data}}', api = 'http://127.0.0.1:{port}'}}"
            ),
        ] {
            let encoded: String = secret
                .bytes()
                .map(|byte| {
                    if byte.is_ascii_alphanumeric() {
                        char::from(byte).to_string()
                    } else {
                        format!("%{byte:02x}")
                    }
                })
                .collect();
            std::fs::write(place.path().join("encoded"), &encoded).expect("written");
            let script = format!(
                "{source}{sink}) tb.link('t', 'a') tb.create_file_sink('l', 'letters') tb.link('a.errors', 'l')"
            );
            let verb = ["run", "--for", "200ms", "--drain", "100ms", "--stats"];
            let output = written(place.path(), &verb, &script, secret, Some("trace"));
            // What the sink was not given by the script is not looked for.
            if sink.contains("CANARY") {
                shows_none(&output, secret, &script);
            }
            assert!(!output.contains(&encoded), "{script}: {output:.2000}");
            let letters = std::fs::read_to_string(place.path().join("letters"));
            let letters = letters.unwrap_or_default();
            if sink.contains("CANARY") {
                shows_none(&letters, secret, &script);
            }
            assert!(!letters.contains(&encoded), "{script}: {letters:.2000}");
        }
    }
}
