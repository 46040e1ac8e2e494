# Reads lookup.dat and growth.dat, as bench/report leaves them.
set terminal svg size 1000,460 font "sans-serif,12" background "white"
set output "bench.svg"
set multiplot layout 1,2
set linetype 1 lc rgb "#0b5fa5"
set linetype 2 lc rgb "#2aa876"
set linetype 3 lc rgb "#b03a2e"
set linetype 4 lc rgb "#8e8e8e"
set linetype 5 lc rgb "#d4a017"
set grid ytics lc rgb "#dddddd"
set errorbars linecolor rgb "#333333"
kinds = "'4 KiB' THP '2 MiB' '1 GiB'"
set logscale y
set key top left font ",10" samplen 1

set title "All physical addresses of 1 GiB (medians and quartiles)"
set ylabel "ms"
set bmargin 4
set yrange [0.001:100000]
set style data histograms
set style histogram errorbars gap 1 lw 1
set style fill solid 0.9 noborder
set boxwidth 0.9
plot "lookup.dat" using 2:3:4:xtic(1) title "GET\\_PA, a call per extent", \
     "" using 5:6:7 title "GET\\_PA, array form", \
     "" using 8:9:10 title "iova\\_to\\_phys for each page", \
     "" using 11:12:13 title "pagemap, in bulk", \
     "" using 14:15:16 title "pagemap, a pread per page"

set title "GET\\_PA: time per extent by size (medians)"
set ylabel "ns"
set xlabel "MiB"
set logscale x 2
set xrange [48:5500]
set yrange [10:100000]
plot for [i=0:3] "growth.dat" index i using 1:2 with linespoints lt (i+1) pt 7 \
	title word(kinds, i + 1).", a call each", \
     for [i=0:3] "growth.dat" index i using 1:3 with linespoints lt (i+1) pt 6 dt 2 \
	title word(kinds, i + 1).", array"
