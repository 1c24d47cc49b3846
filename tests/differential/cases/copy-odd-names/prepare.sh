mkdir odd; echo 1 > 'odd/a b'; echo 2 > 'odd/ü'; echo 3 > 'odd/q"uote'; echo 4 > 'odd/back\slash'; echo 5 > 'odd/-dash'; echo 6 > 'odd/$dollar'
