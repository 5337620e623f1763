//! What a broker of MQTT may say that mosquitto does not: brokers of a few bytes.

use super::mqtt::reading;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;
use tributary::connect::Options;
use tributary::{ErrorKind, Result};

const PATIENCE: Duration = Duration::from_secs(20);

/// A broker that takes whoever comes, answers so to what is subscribed, and says these bytes.
fn saying(subscribed: u8, last: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        let mut bytes = [0; 1024];
        while let Ok((mut stream, _)) = listener.accept() {
            for answer in [
                &[0x20, 3, 0, 0, 0],
                &[0x90, 4, 0, 1, 0, subscribed][..],
                last,
            ] {
                if last != answer && !stream.read(&mut bytes).is_ok_and(|many| many > 0) {
                    break;
                }
                let _ = stream.write_all(answer);
            }
            // The other side ends it.
            let _ = stream.read(&mut bytes);
        }
    });
    format!("mqtt://127.0.0.1:{port}")
}

#[test]
fn a_source_replaced_by_a_client_of_the_same_name_ends_with_an_error() -> Result<()> {
    let options = Options::new().with("topic", "t").with("client_id", "me");
    let (network, _events) = reading(&(saying(1, &[0xe0, 2, 0x8e, 0]), options))?;
    let ended = network.wait_timeout(PATIENCE).expect("it ends");
    let error = ended.expect_err("it was replaced").to_string();
    assert!(error.contains("the same client_id"), "{error}");
    Ok(())
}

#[test]
fn what_may_not_be_listened_to_is_named() {
    let options = Options::new().with("topic", "bets/#");
    let denied = reading(&(saying(0x87, &[]), options));
    let error = denied.expect_err("it is refused");
    assert_eq!(error.kind(), ErrorKind::NoPermission, "{error}");
    assert!(
        error
            .to_string()
            .contains("\"bets/#\" may not be subscribed to"),
        "{error}"
    );
}

#[test]
fn a_broker_that_breaks_the_protocol_is_tried_again() -> Result<()> {
    // A message whose topic is longer than it is itself, and a packet of no known kind.
    for nonsense in [
        &[0x32, 4, 0xff, 0xff, 0, 0][..],
        &[0xff, 0xff, 0xff, 0xff, 0xff],
    ] {
        let options = Options::new().with("topic", "t");
        let (network, _events) = reading(&(saying(1, nonsense), options))?;
        let ended = network.wait_timeout(Duration::from_millis(500));
        assert!(ended.is_none(), "{ended:?}");
        network.stop()?;
    }
    Ok(())
}
