//! The page in a real browser: Chromium, driven by its driver over the WebDriver protocol.
//!
//! With TRIBUTARY_SCREENSHOTS set, what the browser shows is kept in that directory.

use super::{NETWORK, Shown, Tested, eventually, get};
use crate::support::process::{Process, free_port};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

/// A browser.
struct Browser {
    port: u16,
    session: String,
    _driver: Process,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// A window of this size; dark as a user may have set it.
    fn open((width, height): (u32, u32), dark: bool) -> Tested<Self> {
        let port = free_port();
        let profile = tempfile::tempdir()?;
        let mut driver = Command::new("chromedriver");
        driver.arg(format!("--port={port}"));
        let driver = Process::start(&mut driver, port);
        let mut args = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
        ]
        .map(str::to_owned)
        .to_vec();
        args.push(format!("--user-data-dir={}", profile.path().display()));
        args.push(format!("--window-size={width},{height}"));
        if dark {
            args.push("--blink-settings=preferredColorScheme=0".to_owned());
        }
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": {"binary": "/usr/bin/chromium", "args": args},
        }}});
        let mut browser = Browser {
            port,
            session: String::new(),
            _driver: driver,
            _profile: profile,
        };
        let made = browser.send("POST", "/session", &wanted)?;
        let session = made["sessionId"].as_str().ok_or("no session")?;
        browser.session = format!("/session/{session}");
        // What is shown has exactly this size.
        browser.devtools(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}),
        )?;
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        browser.devtools("Emulation.setEmulatedMedia", &features)?;
        Ok(browser)
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Tested<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let body = if method == "GET" {
            String::new()
        } else {
            body.to_string()
        };
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n",
            self.port
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        // The driver keeps the connection open.
        let mut stream = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        while line != "\r\n" {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Err("no answer of the driver".into());
            }
            let line = line.to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        let value: Value = serde_json::from_slice(&body)?;
        match value["value"]["error"].as_str() {
            Some(_) => Err(value["value"]["message"].to_string().into()),
            None => Ok(value["value"].clone()),
        }
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Tested<Value> {
        let body = json!({"cmd": command, "params": parameters});
        self.send("POST", &format!("{}/goog/cdp/execute", self.session), &body)
    }

    fn go(&self, url: &str) -> Tested {
        let path = format!("{}/url", self.session);
        self.send("POST", &path, &json!({ "url": url })).map(drop)
    }

    /// The value of an expression on the page.
    fn value(&self, expression: &str) -> Tested<Value> {
        let body = json!({"script": format!("return {expression}"), "args": []});
        self.send("POST", &format!("{}/execute/sync", self.session), &body)
    }

    /// Waits until an expression is true.
    fn until(&self, expression: &str) -> Tested {
        if eventually(|| Ok(self.value(expression)? == true))? {
            Ok(())
        } else {
            Err(format!("never: {expression}").into())
        }
    }

    /// Clicks on an element.
    fn click(&self, selector: &str) -> Tested {
        let wanted = json!({"using": "css selector", "value": selector});
        let found = self.send("POST", &format!("{}/element", self.session), &wanted)?;
        let id = found.as_object().and_then(|found| found.values().next());
        let id = id.and_then(Value::as_str).ok_or("no element")?;
        let path = format!("{}/element/{id}/click", self.session);
        self.send("POST", &path, &json!({})).map(drop)
    }

    /// Keeps what is shown.
    fn shoot(&self, name: &str) -> Tested {
        let Ok(directory) = std::env::var("TRIBUTARY_SCREENSHOTS") else {
            return Ok(());
        };
        let shot = self.send("GET", &format!("{}/screenshot", self.session), &Value::Null)?;
        let bytes = decoded(shot.as_str().ok_or("no picture")?);
        Ok(std::fs::write(format!("{directory}/{name}.png"), bytes)?)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends with its process in any case.
        let _ = self.send("DELETE", &self.session, &json!({}));
    }
}

/// The bytes of base64.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

/// A network with what a page can show: a bottleneck, rejected events, a lost broker, a window, a loss.
const SHOWCASE: &str = r#"
local tb = require("tributary")
tb.create_table("bets", { key = "id", columns = { id = "integer", customer = "text", stake = "real", at = "integer" } })
tb.create_generator("bets", function(emit, n)
    for i = 1, 40 do emit({ id = n * 40 + i, customer = "c" .. i % 7, stake = i, at = n }) end
    return true
end, { every = "10ms" })
tb.create_ticker("clock", "1s")
tb.create_map("enrich", function(e) e.data.level = e.data.stake > 30 and "high" or "low" return e end)
tb.create_map("score", function(e)
    local x = 0
    for i = 1, 60000 do x = x + i % 7 end
    e.data.score = x
    return e
end)
tb.create_map("validate", function(e)
    if e.data.stake == 13 then error("stake 13 is not allowed") end
    return e
end)
tb.window("totals", "over_100", {
    table = "bets", time = "at", size = "60s", clock = "event", emit = "changes",
    query = "select customer, sum(stake) as staked from bets group by customer having staked > 100",
})
tb.create_filter("once", "10s")
tb.create_discarder("archive")
tb.create_discarder("alerts")
tb.create_discarder("rejected")
tb.create_sink("bus", "tcp://127.0.0.1:1")
tb.link("bets", "enrich")
tb.link("enrich", "validate")
tb.link("enrich", "score", { capacity = 1000, overflow = "drop_oldest" })
tb.link("validate", "totals")
tb.link("validate.errors", "rejected")
tb.link("over_100", "once")
tb.link("once", "alerts")
tb.link("score", "archive")
tb.link("clock", "bus")
"#;

#[test]
#[ignore = "needs chromium and chromedriver, of Debian's packages chromium and chromium-driver"]
fn the_page_shows_a_running_network_and_opens_nodes() -> Tested {
    let shown = Shown::start(NETWORK, &[])?;
    let browser = Browser::open((1366, 800), false)?;
    browser.go(&format!("http://{}/", shown.address()))?;
    browser.until("document.querySelectorAll('.node').length === 7")?;
    browser.until("document.querySelector('#state').textContent === 'running'")?;
    // A rate that changes.
    let rate = "document.querySelector('.node[data-node=double] .rate').textContent";
    browser.until(&format!("{rate} !== '' && {rate} !== '0/s'"))?;
    browser.until("Number(document.body.dataset.looks) >= 3")?;
    // A node: its account, its settings, its errors.
    browser.click(".node[data-node=picky]")?;
    browser.until("document.querySelector('#side h2').textContent === 'picky'")?;
    browser.until("document.querySelector('#side').textContent.includes('too much')")?;
    browser.until("document.querySelector('#account').textContent.includes('rejected')")?;
    browser
        .until("document.querySelector('#side').textContent.includes('create_map(\"picky\"')")?;
    // A tap.
    browser.click("#tapping")?;
    browser.until("document.querySelector('#events').textContent.includes('\"stake\"')")?;
    browser.click("#tapping")?;
    // A window: its plan.
    browser.click(".node[data-node=totals]")?;
    browser.until("document.querySelector('#plan').textContent.includes('plan:')")?;
    // The other views.
    browser.click("[data-view=nodes]")?;
    browser.until("document.querySelectorAll('#nodes tbody tr').length === 7")?;
    browser.click("[data-view=errors]")?;
    browser.until("document.querySelector('#errors').textContent.includes('too much')")?;
    browser.click("[data-view=units]")?;
    browser.until("document.querySelector('#units').textContent.includes('net.lua')")?;
    // Nothing was fetched from elsewhere, and nothing is wrong on the page.
    let fetched =
        "performance.getEntriesByType('resource').every((e) => e.name.startsWith(location.origin))";
    assert_eq!(browser.value(fetched)?, true);
    Ok(())
}

#[test]
#[ignore = "needs chromium and chromedriver, of Debian's packages chromium and chromium-driver"]
fn the_page_has_scripts_loaded_again_and_shows_what_that_has_changed() -> Tested {
    let shown = Shown::start(NETWORK, &["--admin-token", "${env:TOKEN}"])?;
    let browser = Browser::open((1366, 800), false)?;
    let page = format!("http://{}/", shown.address());
    browser.go(&page)?;
    browser.value("sessionStorage.setItem('token', 't0p-secret-token')")?;
    browser.go(&page)?;
    browser.until("document.querySelectorAll('.node').length === 7")?;
    let changed = NETWORK.replace("2 * e.data.stake", "3 * e.data.stake")
        + "tb.create_discarder(\"third\")\ntb.link(\"double\", \"third\")\n";
    shown.site.write("net.lua", changed)?;
    browser.click("[data-view=units]")?;
    browser.until("document.querySelector('#units button') !== null")?;
    browser.click("#units button")?;
    let notice = "document.body.textContent.includes('replace node double')";
    browser.until(notice)?;
    browser.shoot("reloaded")?;
    browser.until("document.querySelector('#units').textContent.includes('8')")?;
    browser.click("[data-view=graph]")?;
    browser.until("document.querySelectorAll('.node').length === 8")?;
    Ok(())
}

/// A process that shows a network which never becomes ready.
fn showcase() -> Tested<(crate::support::binary::Site, std::process::Child, u16)> {
    let port = free_port();
    let site = crate::support::binary::Site::with(&[("fraud.lua", SHOWCASE)])?;
    let address = format!("127.0.0.1:{port}");
    let mut command = site.command(&["run", "fraud.lua", "--admin", &address]);
    command
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null());
    let child = command.spawn()?;
    eventually(|| Ok(get(port, "/healthz").is_ok()))?;
    // What the pictures show of rates is of a few seconds.
    std::thread::sleep(Duration::from_secs(4));
    Ok((site, child, port))
}

#[test]
#[ignore = "needs chromium and chromedriver, of Debian's packages chromium and chromium-driver"]
fn the_page_marks_the_bottleneck_and_failing_nodes_in_light_dark_and_on_a_phone() -> Tested {
    let (_site, mut child, port) = showcase()?;
    let looked = (|| {
        for (name, size, dark) in [
            ("desktop-light", (1440, 860), false),
            ("desktop-dark", (1440, 860), true),
            ("phone", (390, 844), false),
        ] {
            let browser = Browser::open(size, dark)?;
            browser.go(&format!("http://127.0.0.1:{port}/"))?;
            browser.until("document.querySelectorAll('.node').length === 12")?;
            browser.until(
                "document.querySelector('.node[data-node=bus]').classList.contains('lost')",
            )?;
            browser.until("document.querySelector('#failing').textContent === 'failing: bus'")?;
            browser.until(
                "document.querySelector('.node[data-node=score]').classList.contains('bottleneck')",
            )?;
            browser.until(
                "document.querySelector('.node[data-node=validate]').classList.contains('errs')",
            )?;
            browser.shoot(name)?;
            browser.value("choose('score')")?;
            browser.click("#tapping")?;
            browser.until("document.querySelector('#events').textContent.includes('level')")?;
            browser.shoot(&format!("{name}-node"))?;
            browser.value("(choose(null), turn('nodes'))")?;
            browser.shoot(&format!("{name}-nodes"))?;
            browser.value("turn('errors')")?;
            browser.until("document.querySelectorAll('#errors .error').length > 0")?;
            browser.shoot(&format!("{name}-errors"))?;
            // Nothing is wider than the window.
            let fits = "document.documentElement.scrollWidth <= innerWidth";
            assert_eq!(browser.value(fits)?, true, "{name}");
        }
        Ok(())
    })();
    child.kill()?;
    child.wait()?;
    looked
}

#[test]
#[ignore = "needs chromium and chromedriver, of Debian's packages chromium and chromium-driver"]
fn five_hundred_nodes_are_drawn_and_found() -> Tested {
    let script = r#"
        local tb = require("tributary")
        for c = 1, 25 do
            tb.create_ticker("source_" .. c, "100ms")
            local last = "source_" .. c
            for i = 1, 18 do
                local name = "step_" .. c .. "_" .. i
                tb.create_forwarder(name)
                tb.link(last, name)
                if i % 6 == 0 and c > 1 then tb.link("step_" .. (c - 1) .. "_" .. (i - 1), name) end
                last = name
            end
            tb.create_discarder("sink_" .. c)
            tb.link(last, "sink_" .. c)
        end
    "#;
    let shown = Shown::start(script, &[])?;
    let browser = Browser::open((1440, 860), false)?;
    browser.go(&format!("http://{}/", shown.address()))?;
    browser.until("document.querySelectorAll('.node').length === 500")?;
    browser.until("Number(document.body.dataset.looks) >= 3")?;
    browser.shoot("many")?;
    browser.value("(show('step_12_9'), choose('step_12_9'))")?;
    browser.until("document.querySelector('#side h2').textContent === 'step_12_9'")?;
    browser.shoot("many-near")?;
    // A look at the account and its drawing take a moment, not a second; the least of five, since other
    // tests run meanwhile.
    let took = browser.value(
        "Math.min(...Array.from({ length: 5 }, () => {
            const t = performance.now();
            paint();
            return performance.now() - t;
        }))",
    )?;
    assert!(took.as_f64() < Some(300.0), "{took}");
    Ok(())
}
