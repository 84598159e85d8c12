drop table inbox.parked;
drop table inbox.hold;
