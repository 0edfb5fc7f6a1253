//! Connections are shared between the members, and stay with theirs when others come and go.

use anyhow::Result;
use lab::network::VIRTUAL_IP;
use lab::{Answer, Driver};

use super::on_every_port;
use super::stage::{PATIENCE, Stage};

on_every_port!(
    hundred_requests_are_shared_evenly,
    download_outlives_the_removal_of_the_other_member,
    port_without_service_refuses,
);

fn hundred_requests_are_shared_evenly(driver: Driver, offload: bool) -> Result<()> {
    let stage = Stage::set(driver, offload)?;
    assert_eq!(stage.get_many(100)?, [50, 50]);
    let from_afar = stage.lab.far_client().get(&format!("http://{VIRTUAL_IP}/"), PATIENCE)?;
    assert_eq!(from_afar, Answer::Body("member-1".to_owned()), "the turn of the first");
    stage.leave()
}

fn download_outlives_the_removal_of_the_other_member(driver: Driver, offload: bool) -> Result<()> {
    let mut stage = Stage::set(driver, offload)?;
    let download = stage.download()?;
    let (other, only) = if download.member() == "member-1" { (1, [10, 0]) } else { (0, [0, 10]) };
    stage.remove_member(other)?;
    assert_eq!(stage.get_many(10)?, only);
    stage.add_member(other)?;
    assert_eq!(stage.get_many(10)?, [5, 5]);
    stage.finish(download)?;
    stage.leave()
}

fn port_without_service_refuses(driver: Driver, offload: bool) -> Result<()> {
    let stage = Stage::set(driver, offload)?;
    let answer = stage.lab.client().get(&format!("http://{VIRTUAL_IP}:81/"), PATIENCE)?;
    assert_eq!(answer, Answer::Refused);
    stage.get_many(2)?;
    stage.balanced()
}
