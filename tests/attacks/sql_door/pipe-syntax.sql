FROM emp |> WHERE id < 9 |> SELECT *
