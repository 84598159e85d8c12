-- Once in a database:
drop table inbox.parked;
drop table inbox.hold;
