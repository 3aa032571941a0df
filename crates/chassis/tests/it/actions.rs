use chassis::Actions;
use chassis::actions::{ActionError, Offered};
use expect_test::expect;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::Value;

use crate::process::Running;

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn call(service: &Running, method: Method, path: &str) -> String {
    let url = format!("http://{}{path}", service.admin);
    let request = reqwest::blocking::Client::new().request(method, url);
    let answer = request.header("traceparent", format!("00-{TRACE_ID}-00f067aa0ba902b7-01"));
    let answer = answer.send().unwrap();
    format!("{} {}", answer.status().as_u16(), answer.text().unwrap())
}

#[test]
fn an_operator_can_have_a_service_act_and_is_told_what_came_of_it() {
    let service = Running::start(&[]).ready();
    let answers = [
        call(&service, Method::GET, "/actions"),
        call(&service, Method::POST, "/actions/resume"),
        call(&service, Method::POST, "/actions/resume"),
        call(&service, Method::GET, "/actions/resume"),
        call(&service, Method::POST, "/actions/dance"),
        call(&service, Method::POST, "/actions/crash"),
        call(&service, Method::POST, "/actions"),
        call(&service, Method::GET, "/livez"),
    ];
    expect![[r#"
        200 [{"name":"crash","description":"panics"},{"name":"resume","description":"goes on where the work stands still"}]
        200 goes on

        409 nothing stands still

        405 
        404 there is no action `dance`; offered: crash, resume

        500 the action broke off

        405 
        200 alive
    "#]]
    .assert_eq(&answers.join("\n"));
}

#[test]
fn the_log_lines_of_a_request_show_its_trace() {
    for format in ["human", "json"] {
        let service = Running::start(&[("TINY__LOG__FORMAT", format)]).ready();
        call(&service, Method::POST, "/actions/resume");
        service.signal(Signal::TERM);
        let (_, log) = service.end();
        let line = log.lines().find(|it| it.contains("action was carried out")).unwrap();
        match format {
            "json" => {
                let line: Value = serde_json::from_str(line).unwrap();
                assert_eq!(line["span"]["trace_id"], TRACE_ID, "{line}");
            }
            _ => assert!(line.contains(&format!("trace_id={TRACE_ID}")), "{line}"),
        }
    }
}

#[test]
fn a_later_action_takes_the_name_of_an_earlier_one() {
    let actions = Actions::default();
    assert_eq!(actions.carry_out("resume"), Err(ActionError::Unknown("resume".to_owned())));
    for consumer in ["first", "second"] {
        actions.register("resume", consumer, move || Ok(format!("{consumer} goes on")));
    }
    let description = "second".to_owned();
    assert_eq!(actions.offered(), [Offered { name: "resume".to_owned(), description }]);
    assert_eq!(actions.carry_out("resume"), Ok("second goes on".to_owned()));
}
