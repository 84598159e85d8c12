-- Once in a database:
drop table inbox.recent;
drop table inbox.mark;
